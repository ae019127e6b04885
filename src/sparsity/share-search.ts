import { type Session, total } from './evaluate.js';
import type { Rule } from './rules.js';
import type { Windows } from './windows.js';

/** Thresholds that one pass tries in each layer. */
const WIDTH = 16;
/** Scores outside 2^±64 are treated as 0 or ∞. */
const OCTAVES = 64;
const TOLERANCE = 1e-4;

/**
 * In each layer the largest threshold at which at least `share` of the neuron evaluations are kept, to a
 * relative 1e-4, by counting; 0 where fewer than that are non-zero (then every non-zero one is kept).
 */
export async function thresholdsForShare(
  session: Session,
  rule: Rule,
  windows: Windows,
  share: number,
): Promise<number[]> {
  const { layers, ff } = session.model;
  const wanted = share * windows.count * windows.seqLen * ff;
  const brackets = Array.from({ length: layers }, () => ({ low: 2 ** -OCTAVES, high: 2 ** OCTAVES }));
  while (brackets.some(({ low, high }) => high > low * (1 + TOLERANCE))) {
    const columns = brackets.map(({ low, high }) =>
      Array.from({ length: WIDTH }, (_, k) => Math.fround(low * (high / low) ** ((k + 1) / (WIDTH + 1)))),
    );
    const { active } = await session.dense(rule, windows, columns);
    brackets.forEach((bracket, layer) => {
      for (let k = 0; k < WIDTH; k++) {
        const threshold = columns[layer]![k]!;
        if (threshold <= bracket.low || threshold >= bracket.high) continue;
        if (total(active[layer]![k]!) >= wanted) bracket.low = threshold;
        else {
          bracket.high = threshold;
          break;
        }
      }
    });
  }
  return brackets.map(({ low }) => (low === 2 ** -OCTAVES ? 0 : low));
}
