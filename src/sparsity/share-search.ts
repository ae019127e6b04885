import { type Session, total } from './evaluate.js';
import type { Rule } from './rules.js';
import type { Windows } from './windows.js';

/** Thresholds that one pass tries in each layer. */
const WIDTH = 16;
/** Scores outside 2^±64 are treated as 0 or ∞. */
const OCTAVES = 64;
const TOLERANCE = 1e-4;

/** Neuron evaluations of a layer kept at a threshold. */
interface Count {
  threshold: number;
  kept: number;
}

/**
 * Finds in each layer the largest threshold at which at least `share` of the neuron evaluations are kept, to a
 * relative `tolerance`, by counting; 0 where fewer than that are non-zero (then every non-zero one is kept).
 * What one share counted serves the next.
 */
export function shareSearch(session: Session, rule: Rule, windows: Windows) {
  const { layers, ff } = session.model;
  const all = windows.count * windows.seqLen * ff;
  const lowest = 2 ** -OCTAVES;
  // Ascending, so that `kept` falls: the ends stand for everything and nothing.
  const counts = Array.from({ length: layers }, (): Count[] => [
    { threshold: lowest, kept: Number.POSITIVE_INFINITY },
    { threshold: 2 ** OCTAVES, kept: 0 },
  ]);
  const bracketOf = (known: readonly Count[], wanted: number) => {
    const over = known.findIndex(({ kept }) => kept < wanted);
    return { low: known[over - 1]!.threshold, high: known[over]!.threshold };
  };

  return async (share: number, tolerance = TOLERANCE): Promise<number[]> => {
    const wanted = Math.max(share * all, Number.MIN_VALUE);
    for (;;) {
      const brackets = counts.map((known) => bracketOf(known, wanted));
      if (brackets.every(({ low, high }) => high <= low * (1 + tolerance))) {
        return brackets.map(({ low }) => (low === lowest ? 0 : low));
      }
      const columns = brackets.map(({ low, high }) =>
        Array.from({ length: WIDTH }, (_, k) => Math.fround(low * (high / low) ** ((k + 1) / (WIDTH + 1)))),
      );
      const { active } = await session.dense(rule, windows, columns);
      counts.forEach((known, layer) => {
        const { low, high } = brackets[layer]!;
        columns[layer]!.forEach((threshold, k) => {
          // A bracket of neighbouring float32 values has nothing inside.
          if (threshold > low && threshold < high) known.push({ threshold, kept: total(active[layer]![k]!) });
        });
        known.sort((a, b) => a.threshold - b.threshold);
      });
    }
  };
}

/** `shareSearch` for one share. */
export const thresholdsForShare = (
  session: Session,
  rule: Rule,
  windows: Windows,
  share: number,
): Promise<number[]> => shareSearch(session, rule, windows)(share);
