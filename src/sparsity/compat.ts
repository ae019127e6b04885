import { average, type Session } from './evaluate.js';
import { outputNormRule } from './rules.js';
import { thresholdsForShare } from './share-search.js';
import type { Calibration, LayerThresholds } from './threshold-search.js';
import type { Windows } from './windows.js';

/** Sparsing Law §1.4, steps 2 and 3: size of the linear grid, and the bound under which nothing is searched. */
const GRID = 65_536;
const NEGLIGIBLE_BOUND = 1e-9;
const NEGLIGIBLE_THRESHOLD = 1e-7;
/** Levels of the binary search that one pass decides: their 2^4 − 1 possible midpoints are tried together. */
const LEVELS = 4;
const WIDTH = 2 ** LEVELS - 1;

/**
 * The authors' threshold search: binary search over 65,536 equally spaced candidates from the smallest output
 * norm to its 0.99 quantile. Guards that their code lacks: where the first candidate already breaks the bound
 * it is taken (theirs wraps round to the largest), and the quantile is of all values, since their strided
 * sample meets the same neurons again and again when d_ff is a power of two.
 */
export async function compatCalibration(session: Session, windows: Windows): Promise<Calibration> {
  const range = await session.range(windows);
  const { layers, ff } = session.model;
  const tops = await thresholdsForShare(session, outputNormRule, windows, 0.01);
  const perLayer = windows.count * windows.seqLen * ff;
  const bottoms = range.smallest.map((smallest, layer) =>
    // The minimum is 0 as soon as one value is.
    range.active[layer]!.reduce((a, b) => a + b, 0) < perLayer ? 0 : smallest,
  );
  const candidate = (layer: number, index: number) => {
    const [from, to] = [bottoms[layer]!, tops[layer]!];
    return Math.fround(from + ((to - from) * index) / (GRID - 1));
  };
  const known = new Map<number, LayerThresholds>();

  const exact = async (bound: number): Promise<LayerThresholds> => {
    const before = known.get(bound);
    if (before) return before;
    if (bound < NEGLIGIBLE_BOUND) {
      return {
        thresholds: new Array<number>(layers).fill(Math.fround(NEGLIGIBLE_THRESHOLD)),
        cett: new Array<number>(layers).fill(0),
      };
    }
    const ends = Array.from({ length: layers }, () => ({ left: 0, right: GRID - 1 }));
    const reached = new Map<string, number>();
    while (ends.some(({ left, right }) => left < right)) {
      const trees = ends.map(({ left, right }) => midpoints(left, right, LEVELS));
      const columns = trees.map((tree, layer) =>
        Array.from({ length: WIDTH }, (_, k) => candidate(layer, tree[Math.min(k, tree.length - 1)] ?? 0)),
      );
      const { cett } = await session.dense(outputNormRule, windows, columns);
      trees.forEach((tree, layer) => {
        tree.forEach((index, k) => {
          reached.set(`${layer} ${index}`, average(cett[layer]![k]!));
        });
      });
      ends.forEach((end, layer) => {
        for (let level = 0; level < LEVELS && end.left < end.right; level++) {
          const middle = Math.floor((end.left + end.right) / 2);
          if (reached.get(`${layer} ${middle}`)! > bound) end.right = middle;
          else end.left = middle + 1;
        }
      });
    }
    const chosen = ends.map(({ left }) => Math.max(0, left - 1));
    const result = {
      thresholds: chosen.map((index, layer) => candidate(layer, index)),
      cett: chosen.map((index, layer) => reached.get(`${layer} ${index}`) ?? 0),
    };
    known.set(bound, result);
    return result;
  };
  return { range, exact, approximate: async (bound) => (await exact(bound)).thresholds };
}

/** Every midpoint that a binary search of [left, right] may ask for in its next `levels` steps. */
export function midpoints(left: number, right: number, levels: number): number[] {
  if (levels === 0 || left >= right) return [];
  const middle = Math.floor((left + right) / 2);
  return [middle, ...midpoints(left, middle, levels - 1), ...midpoints(middle + 1, right, levels - 1)];
}
