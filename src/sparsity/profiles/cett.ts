import type { MeasureContext } from '../context.js';
import { CETT_GRID } from '../perplexity-search.js';
import { outputNormRule } from '../rules.js';
import { type SweepPoint, sweepPoint } from './sweep.js';

/** Perplexity and activation ratio against the CETT bound (Sparsing Law, Fig. 15). */
export async function cettProfile(context: MeasureContext): Promise<({ cett: number } & SweepPoint)[]> {
  const { approximate } = await context.calibration();
  const rows: ({ cett: number } & SweepPoint)[] = [];
  for (const cett of CETT_GRID) {
    rows.push({ cett, ...(await sweepPoint(context, outputNormRule, await approximate(cett))) });
  }
  return rows;
}
