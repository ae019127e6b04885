import type { MeasureContext } from '../context.js';
import { average } from '../evaluate.js';
import { gateRule, outputNormRule, type Rule, type Score, topkRule } from '../rules.js';
import { shareSearch } from '../share-search.js';
import { cettProfile } from './cett.js';
import { type SweepPoint, sweepPoint } from './sweep.js';

/** Shares of kept neurons at which the arms other than CETT are evaluated. */
const SHARES = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8];
/** The ratio reached is measured, so where exactly a point lies does not matter. */
const TOLERANCE = 0.02;

const SCORES: readonly { score: Score; rule: Rule; oneThreshold: string }[] = [
  { score: 'gate', rule: gateRule, oneThreshold: 'fat' },
  { score: 'output', rule: outputNormRule, oneThreshold: 'global' },
];

export type ParetoRow = { arm: string; parameter: number } & SweepPoint;

/**
 * Perplexity against activation ratio (Sparsing Law, Fig. 2). The paper's curves differ in score and in layer
 * policy at once; here each of two scores (|s|, output norm) meets each of three policies (one threshold for all
 * layers, one share for all layers, one k for every token), and CETT's policy is the output norm's fourth.
 */
export async function paretoProfile(context: MeasureContext): Promise<ParetoRow[]> {
  const { session, gridWindows } = context;
  const { layers, ff } = session.model;
  const all = (value: number) => new Array<number>(layers).fill(value);
  const rows: ParetoRow[] = [];
  const add = async (arm: string, parameter: number, rule: Rule, thresholds: readonly number[]) => {
    rows.push({ arm, parameter, ...(await sweepPoint(context, rule, thresholds)) });
  };
  await add('zero', 0, outputNormRule, all(0));
  for (const { cett, ...point } of await cettProfile(context)) {
    rows.push({ arm: 'cett', parameter: cett, ...point });
  }
  for (const { score, rule, oneThreshold } of SCORES) {
    const perLayerAt = shareSearch(session, rule, gridWindows);
    for (const share of SHARES) {
      const perLayer = await perLayerAt(share, TOLERANCE);
      const positive = perLayer.filter((value) => value > 0);
      if (positive.length > 0) {
        // Near the share by the geometric mean of the thresholds that give each layer exactly this share.
        const epsilon = Math.fround(Math.exp(average(positive.map(Math.log))));
        await add(oneThreshold, epsilon, rule, all(epsilon));
        await add(`topk-layer-${score}`, share, rule, perLayer);
      }
      const k = Math.floor(share * ff + 0.5);
      if (k >= 1) await add(`topk-${score}`, share, topkRule(k, score), all(0));
    }
  }
  return rows;
}
