import {
  abs,
  cast,
  div,
  equal,
  fill,
  less,
  max,
  mean,
  min,
  notEqual,
  reshape,
  slice,
  sqrt,
  square,
  stack,
  sum,
  type Tensor,
  where,
  zerosLike,
} from '@tensorflow/tfjs-core';
import { linear, type Neurons } from '../model/transformer.js';
import type { MeasuredModel } from './model.js';
import { outputNorms, type Rule } from './rules.js';

/**
 * The programs that measuring needs. All take windows `tokens` [B, T+1] and give results per window,
 * so that a padded tail is ignored on the host and no result depends on how windows were batched.
 */

export type ModelState = {
  parameters: Record<string, Tensor>;
  /** Column norms of the down projections, [L, F]. */
  norms: Tensor;
};

export type ThresholdInput = {
  tokens: Tensor;
  /** [L, K] float32; K = 1 for a masked pass. */
  thresholds: Tensor;
};

/** Stands for no positive value: near the top of float32. */
export const LARGEST = 3e38;

export const row = (matrix: Tensor, layer: number): Tensor => slice(matrix, [layer, 0], [1, -1]);
export const cell = (matrix: Tensor, layer: number, column: number): Tensor =>
  slice(matrix, [layer, column], [1, 1]);

export function inputsAndTargets(tokens: Tensor): { inputs: Tensor; targets: Tensor; B: number; T: number } {
  const [B, width] = tokens.shape as [number, number];
  const T = width - 1;
  return {
    inputs: slice(tokens, [0, 0], [B, T]),
    targets: reshape(slice(tokens, [0, 1], [B, T]), [B * T]),
    B,
    T,
  };
}

/** Number of true values a window, int32 [B]: at most T·F, well inside int32. */
export const countPerWindow = (mask: Tensor, B: number): Tensor =>
  sum(reshape(cast(mask, 'int32'), [B, -1]), 1);
/** Mean over a window's tokens of a value per token: [N] or [N, 1] → [B]. */
const meanPerWindow = (values: Tensor, B: number, T: number): Tensor => mean(reshape(values, [B, T]), 1);
const rowNorms = (x: Tensor): Tensor => sqrt(sum(square(x), 1));
export const isNonZero = (x: Tensor): Tensor => notEqual(x, zerosLike(x));

/**
 * Final hidden states [B·T, D] of inputs [B, T] with weak neurons set to 0, each layer seeing what the masked
 * layers before it produced. With `outputNormRule` and thresholds of 0 nothing is dropped.
 * @param thresholds [L, 1]
 * @param seen gets each layer's masked neurons, [B·T, F], in order
 */
export function maskedHiddenStates(
  model: MeasuredModel,
  rule: Rule,
  state: ModelState,
  inputs: Tensor,
  thresholds: Tensor,
  seen: (hidden: Tensor) => void,
): Tensor {
  return model.hiddenStates(state.parameters, inputs, (layer, neurons) => {
    const keep = rule.keep(neurons, row(state.norms, layer), cell(thresholds, layer, 0));
    const hidden = where(keep, neurons.hidden, zerosLike(neurons.hidden));
    seen(hidden);
    return hidden;
  });
}

export type MaskedResult = {
  /** Mean loss of each window's T predictions in nats, [B]. */
  loss: Tensor;
  /** Neurons kept and not exactly zero, int32 [L, B]. */
  active: Tensor;
};

/** Losses and counts of the masked forward pass; at thresholds of 0 that is the dense pass, bit for bit. */
export function maskedProgram(model: MeasuredModel, rule: Rule) {
  return (state: ModelState, { tokens, thresholds }: ThresholdInput): MaskedResult => {
    const { inputs, targets, B, T } = inputsAndTargets(tokens);
    const active: Tensor[] = [];
    const final = maskedHiddenStates(model, rule, state, inputs, thresholds, (hidden) => {
      active.push(countPerWindow(isNonZero(hidden), B));
    });
    return {
      loss: meanPerWindow(model.losses(state.parameters, final, targets), B, T),
      active: stack(active),
    };
  };
}

/** CETT of each token: ‖Σ dropped n_i‖ / ‖Σ n_i‖, with 0/0 = 0 (Sparsing Law §1.2, §1.4). */
function tokenCett(dropped: Tensor, total: Tensor, down: Tensor): Tensor {
  const error = rowNorms(linear(dropped, down));
  return where(equal(error, 0), zerosLike(error), div(error, total));
}

export type DenseResult = {
  /** Mean over each window's tokens of the CETT at each threshold, [L, K, B]. */
  cett: Tensor;
  /** Neurons that each threshold keeps and that are not exactly zero, int32 [L, K, B]. */
  active: Tensor;
};

/** The dense forward pass, asking of every layer what K thresholds would drop there. */
export function denseProgram(model: MeasuredModel, rule: Rule) {
  return (state: ModelState, { tokens, thresholds }: ThresholdInput): DenseResult => {
    const { inputs, B, T } = inputsAndTargets(tokens);
    const K = thresholds.shape[1]!;
    const cett: Tensor[] = [];
    const active: Tensor[] = [];
    model.hiddenStates(state.parameters, inputs, (layer, neurons) => {
      const norms = row(state.norms, layer);
      const zeros = zerosLike(neurons.hidden);
      const total = rowNorms(linear(neurons.hidden, neurons.down));
      for (let k = 0; k < K; k++) {
        const keep = rule.keep(neurons, norms, cell(thresholds, layer, k));
        const dropped = where(keep, zeros, neurons.hidden);
        cett.push(meanPerWindow(tokenCett(dropped, total, neurons.down), B, T));
        active.push(countPerWindow(isNonZero(where(keep, neurons.hidden, zeros)), B));
      }
      return neurons.hidden;
    });
    const L = model.layers;
    return { cett: reshape(stack(cett), [L, K, B]), active: reshape(stack(active), [L, K, B]) };
  };
}

export type ScanResult = {
  /** As in DenseResult, [L, K, B]. */
  cett: Tensor;
  /** Mean over each window's tokens of Σ ‖n_i‖ / ‖Σ n_i‖ over what each threshold drops: no less than CETT, [L, K, B]. */
  most: Tensor;
};

/** CETT at K thresholds on the output norm in every layer, and what it can at most be. */
export function scanProgram(model: MeasuredModel) {
  return (state: ModelState, { tokens, thresholds }: ThresholdInput): ScanResult => {
    const { inputs, B, T } = inputsAndTargets(tokens);
    const K = thresholds.shape[1]!;
    const cett: Tensor[] = [];
    const most: Tensor[] = [];
    model.hiddenStates(state.parameters, inputs, (layer, neurons) => {
      const scores = outputNorms(neurons, row(state.norms, layer));
      const zeros = zerosLike(neurons.hidden);
      const total = rowNorms(linear(neurons.hidden, neurons.down));
      for (let k = 0; k < K; k++) {
        const isWeak = less(scores, cell(thresholds, layer, k));
        const dropped = where(isWeak, neurons.hidden, zeros);
        cett.push(meanPerWindow(tokenCett(dropped, total, neurons.down), B, T));
        const sums = sum(where(isWeak, scores, zeros), 1);
        most.push(meanPerWindow(where(equal(sums, 0), zerosLike(sums), div(sums, total)), B, T));
      }
      return neurons.hidden;
    });
    const L = model.layers;
    return { cett: reshape(stack(cett), [L, K, B]), most: reshape(stack(most), [L, K, B]) };
  };
}

export type RangeResult = {
  /** Smallest positive and largest output norm of a window, [L, B]; `smallest` is LARGEST where all are 0. */
  smallest: Tensor;
  largest: Tensor;
  /** Mean over tokens of 1/‖FFN(x)‖, 0 for a token whose neurons are all 0, [L, B]. */
  inverseNorm: Tensor;
  /** Gate activations that are not exactly zero, int32 [L, B]. */
  gateActive: Tensor;
  /** h that are not exactly zero, int32 [L, B]. */
  active: Tensor;
};

/** What the dense activations span: where a threshold scan must begin and end, and the exact zeros. */
export function rangeProgram(model: MeasuredModel) {
  return (state: ModelState, { tokens }: { tokens: Tensor }): RangeResult => {
    const { inputs, B, T } = inputsAndTargets(tokens);
    const out: Record<keyof RangeResult, Tensor[]> = {
      smallest: [],
      largest: [],
      inverseNorm: [],
      gateActive: [],
      active: [],
    };
    model.hiddenStates(state.parameters, inputs, (layer, neurons: Neurons) => {
      const scores = outputNorms(neurons, row(state.norms, layer));
      const perWindow = reshape(scores, [B, -1]);
      const positive = where(isNonZero(scores), scores, fill(scores.shape, LARGEST));
      const total = rowNorms(linear(neurons.hidden, neurons.down));
      const silent = equal(max(scores, 1), 0);
      out.smallest.push(min(reshape(positive, [B, -1]), 1));
      out.largest.push(max(perWindow, 1));
      out.inverseNorm.push(meanPerWindow(where(silent, zerosLike(total), div(1, total)), B, T));
      out.gateActive.push(countPerWindow(isNonZero(abs(neurons.gate)), B));
      out.active.push(countPerWindow(isNonZero(neurons.hidden), B));
      return neurons.hidden;
    });
    return {
      smallest: stack(out.smallest),
      largest: stack(out.largest),
      inverseNorm: stack(out.inverseNorm),
      gateActive: stack(out.gateActive),
      active: stack(out.active),
    };
  };
}
