import type { Precision } from '../index.js';
import type { Node } from './graph.js';

/** The results of a recorded program under a precision policy; `float32` and `tf32` leave the graph as it is. */
export function applyPrecision(precision: Precision, results: readonly Node[]): readonly Node[] {
  void precision;
  return results;
}
