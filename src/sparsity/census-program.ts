import {
  add,
  cast,
  max,
  mul,
  reshape,
  slice,
  stack,
  sum,
  type Tensor,
  transpose,
} from '@tensorflow/tfjs-core';
import type { MeasuredModel } from './model.js';
import {
  inputsAndTargets,
  isNonZero,
  type ModelState,
  maskedHiddenStates,
  type ThresholdInput,
} from './programs.js';
import type { Rule } from './rules.js';

/** Chunks that fit a window: 1 and powers of two up to 64 tokens. */
export const chunkSizes = (seqLen: number): number[] =>
  [1, 2, 4, 8, 16, 32, 64].filter((size) => size <= seqLen);

/** `weights` is int32 [B], 1 for a real window and 0 for padding. */
export type CensusInput = ThresholdInput & { weights: Tensor };

/** The last axis is that of the windows, or of the devices that share them. */
export type CensusResult = {
  /** Tokens of the real windows for which each neuron is active, int32 [L, F, 1]. */
  neurons: Tensor;
  /** Active neurons of all layers at each token, int32 [T, B]. */
  perToken: Tensor;
  /** Neurons active for at least one token of a chunk, summed over a window's chunks, int32 [L, sizes, B]. */
  chunks: Tensor;
};

/** The masked forward pass, reporting which neurons are active where; nothing of size [N, F] leaves the device. */
export function censusProgram(model: MeasuredModel, rule: Rule, sizes: readonly number[]) {
  return (state: ModelState, { tokens, thresholds, weights }: CensusInput): CensusResult => {
    const { inputs, B, T } = inputsAndTargets(tokens);
    const F = model.ff;
    const neurons: Tensor[] = [];
    const chunks: Tensor[] = [];
    let perToken: Tensor | undefined;
    maskedHiddenStates(model, rule, state, inputs, thresholds, (hidden) => {
      const active = reshape(cast(isNonZero(hidden), 'int32'), [B, T, F]);
      neurons.push(sum(mul(active, reshape(weights, [B, 1, 1])), [0, 1]));
      const here = sum(active, 2);
      perToken = perToken ? add(perToken, here) : here;
      for (const size of sizes) {
        const count = Math.floor(T / size);
        const whole = slice(active, [0, 0, 0], [B, count * size, F]);
        const union = max(reshape(whole, [B * count, size, F]), 1);
        chunks.push(sum(reshape(union, [B, count * F]), 1));
      }
    });
    return {
      neurons: reshape(stack(neurons), [model.layers, F, 1]),
      perToken: transpose(perToken!),
      chunks: reshape(stack(chunks), [model.layers, sizes.length, B]),
    };
  };
}
