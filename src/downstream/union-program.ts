import { cast, max, reshape, slice, stack, sum, type Tensor } from '@tensorflow/tfjs-core';
import type { MeasuredModel } from '../sparsity/model.js';
import { isNonZero, type ModelState, maskedHiddenStates, type ThresholdInput } from '../sparsity/programs.js';
import type { Rule } from '../sparsity/rules.js';

export type UnionResult = {
  /** Neurons that at least one token of a group keeps, summed over whole groups, int32 [L, sizes]. */
  chunks: Tensor;
  batches: Tensor;
};

/**
 * The masked forward pass, counting which neurons groups of tokens need: `size` consecutive tokens of a window,
 * or the tokens at one position of `size` consecutive windows. What does not fill a group is left out.
 * @param sizes at most T and B each
 */
export function unionProgram(
  model: MeasuredModel,
  rule: Rule,
  sizes: { chunks: readonly number[]; batches: readonly number[] },
) {
  return (state: ModelState, { tokens, thresholds }: ThresholdInput): UnionResult => {
    const [B, width] = tokens.shape as [number, number];
    const T = width - 1;
    const F = model.ff;
    const found: { chunks: Tensor[]; batches: Tensor[] } = { chunks: [], batches: [] };
    maskedHiddenStates(model, rule, state, slice(tokens, [0, 0], [B, T]), thresholds, (hidden) => {
      const kept = reshape(cast(isNonZero(hidden), 'int32'), [B, T, F]);
      for (const size of sizes.chunks) {
        const count = Math.floor(T / size);
        const whole = reshape(slice(kept, [0, 0, 0], [B, count * size, F]), [B * count, size, F]);
        found.chunks.push(sum(max(whole, 1)));
      }
      for (const size of sizes.batches) {
        const count = Math.floor(B / size);
        const whole = reshape(slice(kept, [0, 0, 0], [count * size, T, F]), [count, size, T * F]);
        found.batches.push(sum(max(whole, 1)));
      }
    });
    const L = model.layers;
    return {
      chunks: reshape(stack(found.chunks), [L, sizes.chunks.length]),
      batches: reshape(stack(found.batches), [L, sizes.batches.length]),
    };
  };
}
