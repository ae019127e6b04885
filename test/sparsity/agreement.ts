import { beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/index.js';
import { METRICS, type Setting } from '../../src/sparsity/metrics/index.js';
import { summarise } from '../../src/sparsity/summarise.js';
import { strideWindows } from '../../src/sparsity/windows.js';
import { contextOf, windowsOf } from './harness.js';
import {
  cettCurve,
  column,
  columnNorms,
  firstCrossing,
  mean,
  type ReferenceModel,
  randomModel,
  run,
  type Sizes,
  spoken,
} from './reference.js';

const SEQ = 32;
const SEED = 11;

/** How much text is measured, on which engine, and how far two searches that know nothing of each other may end apart. */
export interface Extent {
  windows: number;
  engine: () => Promise<Engine>;
  ratio: number;
  activationRatio: number;
}

/** The dense pass and each layer's CETT curve, from which any bound's thresholds are read. */
function prepare(m: ReferenceModel, windows: number[][]) {
  const dense = run(m, windows);
  const curves = dense.neurons.map((tokens, l) =>
    cettCurve(
      Array.from({ length: m.ff }, (_, i) => column(m, l, i)),
      tokens.map(({ h }) => h),
    ),
  );
  const norms = dense.neurons.map((_, l) => columnNorms(m, l));
  return { m, windows, dense, curves, norms };
}

/** Everything the reference says of dropping |h|·‖w‖ < eps_l. */
function referenceAt({ m, windows, dense, norms }: ReturnType<typeof prepare>, thresholds: number[]) {
  const sparse = run(m, windows, (l, { h }) => h.map((v, i) => Math.abs(v) * norms[l]![i]! < thresholds[l]!));
  const tokens = dense.neurons[0]!.length;
  const keptDense = ({ h }: { h: number[] }, l: number) =>
    h.filter((v, i) => v !== 0 && Math.abs(v) * norms[l]![i]! >= thresholds[l]!).length / m.ff;
  return {
    ratio: Math.exp(mean(sparse.losses) - mean(dense.losses)),
    activationRatio: mean(sparse.active.map((count) => count / (tokens * m.ff))),
    activationRatioDense: mean(dense.neurons.map((own, l) => mean(own.map((token) => keptDense(token, l))))),
  };
}

const crossingsOf = ({ curves }: ReturnType<typeof prepare>, bound: number) =>
  curves.map((curve) => firstCrossing(curve, bound));

/** The same with eps_l of one CETT bound. */
const referenceCett = (prepared: ReturnType<typeof prepare>, bound: number) =>
  referenceAt(prepared, crossingsOf(prepared, bound));

/** PPL-p% by plain bisection over the one CETT value, ending on the feasible side. */
function referencePplp(prepared: ReturnType<typeof prepare>, p: number) {
  let [low, high] = [0, 1];
  while (high - low > 5e-5) {
    const middle = (low + high) / 2;
    if (referenceCett(prepared, middle).ratio <= 1 + p / 100) low = middle;
    else high = middle;
  }
  return { cett: low, ...referenceCett(prepared, low) };
}

async function measure(m: ReferenceModel, windows: number[][], settings: Setting[], engine: Engine) {
  const gridWindows = strideWindows(windowsOf(windows), (windows.length * SEQ) / 4);
  const context = await contextOf(m, windows, { gridWindows, engine });
  try {
    const parts = [];
    for (const setting of settings) {
      parts.push([{ context, outcome: await METRICS[setting.metric].measure(context, setting) }]);
    }
    return await summarise(settings, parts, { replicates: 200, seed: 0 });
  } finally {
    context.session.dispose();
  }
}

/** Registers the comparison for some kinds of model. */
export function compareWithReference(cases: Sizes[], extent: Extent): void {
  describe.each(cases)('the float64 reference, $act gated $gated, $layers layers', (sizes) => {
    const m = randomModel({ ...sizes, seed: SEED });
    let windows: number[][];
    let prepared: ReturnType<typeof prepare>;
    beforeAll(() => {
      windows = spoken(m, extent.windows, SEQ);
      prepared = prepare(m, windows);
    });

    it('agrees on pplp and cett', async () => {
      const settings: Setting[] = [
        { metric: 'pplp', pPercent: 1 },
        { metric: 'cett', cett: 0.1 },
        { metric: 'pplp', pPercent: 5 },
      ];
      const [pplp, cett, five] = await measure(m, windows, settings, await extent.engine());
      expect(five!.activationRatio).toBeLessThanOrEqual(pplp!.activationRatio);
      const expected = referencePplp(prepared, 1);
      expect(pplp!.status).toBe('ok');
      expect(pplp!.perplexity.ratio).toBeLessThanOrEqual(1.01);
      console.log(
        `${m.act}, gated ${m.gated}, ${m.layers} layers, ${windows.length * SEQ} tokens: CETT ${pplp!.cett} and ${expected.cett}, ` +
          `ratio ${pplp!.perplexity.ratio} and ${expected.ratio}, activation ratio ${pplp!.activationRatio} and ${expected.activationRatio}`,
      );
      // Two searches that share nothing.
      expect(Math.abs(pplp!.perplexity.ratio - expected.ratio)).toBeLessThan(extent.ratio);
      expect(Math.abs(pplp!.activationRatio - expected.activationRatio)).toBeLessThan(extent.activationRatio);
      // The one found, where it is: at its own thresholds, and at its CETT.
      const thresholds = pplp!.layers.map((layer) => layer.threshold!);
      const same = referenceAt(prepared, thresholds);
      expect(Math.abs(pplp!.perplexity.ratio - same.ratio)).toBeLessThan(2e-5);
      expect(Math.abs(pplp!.activationRatio - same.activationRatio)).toBeLessThan(1e-4);
      expect(Math.abs(pplp!.activationRatioDense - same.activationRatioDense)).toBeLessThan(1e-4);
      crossingsOf(prepared, pplp!.cett!).forEach((crossing, layer) => {
        expect(Math.abs(thresholds[layer]! / crossing - 1)).toBeLessThan(3e-4);
      });
      const own = referenceCett(prepared, pplp!.cett!);
      expect(Math.abs(pplp!.activationRatio - own.activationRatio)).toBeLessThan(1e-3);
      const fixed = referenceCett(prepared, 0.1);
      expect(Math.abs(cett!.perplexity.ratio - fixed.ratio)).toBeLessThan(1e-4);
      expect(Math.abs(cett!.activationRatio - fixed.activationRatio)).toBeLessThan(1e-3);
    });

    it('agrees on zero, fat, global and topk', async () => {
      const settings: Setting[] = [
        { metric: 'zero' },
        { metric: 'fat', epsilon: 0.1 },
        { metric: 'global', epsilon: 0.2 },
        { metric: 'topk', kRatio: 0.3, pool: 'token', score: 'gate' },
        { metric: 'topk', kRatio: 0.3, pool: 'token', score: 'output' },
      ];
      const [zero, fat, global, topk, byOutput] = await measure(m, windows, settings, await extent.engine());
      const tokens = windows.length * SEQ;
      const { norms } = prepared;
      const { dense } = prepared;
      const compare = (found: typeof fat, drop: Parameters<typeof run>[2]) => {
        const sparse = run(m, windows, drop);
        const active = mean(sparse.active.map((count) => count / (tokens * m.ff)));
        expect(Math.abs(found!.activationRatio - active)).toBeLessThan(1e-4);
        const ratio = Math.exp(mean(sparse.losses) - mean(dense.losses));
        expect(Math.abs(found!.perplexity.ratio - ratio)).toBeLessThan(5e-5);
      };
      compare(zero, undefined);
      compare(fat, (_, { s }) => s.map((v) => Math.abs(v) < 0.1));
      compare(global, (l, { h }) => h.map((v, i) => Math.abs(v) * norms[l]![i]! < 0.2));
      const top = (scores: number[]) => {
        const kth = [...scores].sort((a, b) => b - a)[Math.floor(0.3 * m.ff + 0.5) - 1]!;
        return scores.map((score) => score < kth);
      };
      compare(topk, (_, { s }) => top(s.map(Math.abs)));
      compare(byOutput, (l, { h }) => top(h.map((v, i) => Math.abs(v) * norms[l]![i]!)));
    });
  });
}
