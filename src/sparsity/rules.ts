import { abs, greaterEqual, mul, slice, type Tensor, topk } from '@tensorflow/tfjs-core';
import type { Neurons } from '../model/transformer.js';

/**
 * Decides which neurons a forward pass keeps. Pure tfjs ops, so that it is compiled into the pass.
 * An exact zero of h counts as dropped whatever the rule says.
 */
export interface Rule {
  /** Names the compiled program: rules of one id are the same function. */
  id: string;
  /**
   * @param norms column norms of the down projection, [1, F]
   * @param threshold this layer's threshold, [1, 1]
   * @returns bool [N, F], true where the neuron is kept
   */
  keep(neurons: Neurons, norms: Tensor, threshold: Tensor): Tensor;
}

/** Norms of the neurons' output vectors, |h_i|·‖w_i‖, [N, F] (Sparsing Law §1.1). */
export const outputNorms = (neurons: Neurons, norms: Tensor): Tensor => mul(abs(neurons.hidden), norms);

/** cett, pplp, global: weak where |h_i|·‖w_i‖ < ε_l, strictly. At threshold 0 everything is kept. */
export const outputNormRule: Rule = {
  id: 'output-norm',
  keep: (neurons, norms, threshold) => greaterEqual(outputNorms(neurons, norms), threshold),
};

/** fat, and topk pooled over a layer: weak where |s_i| < ε_l, strictly. */
export const gateRule: Rule = {
  id: 'gate',
  keep: (neurons, _norms, threshold) => greaterEqual(abs(neurons.gate), threshold),
};

export type Score = 'gate' | 'output';

/**
 * topk: per token the k largest scores are kept, |s_i| or the output norm. Neurons that tie with the k-th
 * are kept too, so that the answer does not depend on an order among equals.
 */
export const topkRule = (k: number, score: Score): Rule => ({
  id: `topk-${score}-${k}`,
  keep: (neurons, norms) => {
    const scores = score === 'gate' ? abs(neurons.gate) : outputNorms(neurons, norms);
    const kth = slice(topk(scores, k).values, [0, k - 1], [-1, 1]);
    return greaterEqual(scores, kth);
  },
});
