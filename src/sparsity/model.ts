import type { Tensor } from '@tensorflow/tfjs-core';
import type { HostTensor } from '../engine/index.js';
import { layerName } from '../model/parameters.js';
import type { ModelShape } from '../model/shape.js';
import { hiddenStates, logitsOf, type NeuronTap, tokenLosses } from '../model/transformer.js';

/** A checkpoint as the measuring code sees it, whatever its family. */
export interface MeasuredModel {
  layers: number;
  ff: number;
  vocabSize: number;
  /**
   * The parameters by name, each read when its turn comes, so that the host never holds all of them: its values are
   * valid until the next is asked for.
   */
  tensors(): AsyncIterable<[string, HostTensor]>;
  /** Names of the down projections, [layers]; each is [D, F]. */
  downProjections: readonly string[];
  /** Final hidden states [B·T, D] of tokens [B, T]. */
  hiddenStates(parameters: Record<string, Tensor>, tokens: Tensor, tap?: NeuronTap): Tensor;
  /** Next-token logits of rows of hidden states: [N, D] → [N, V]. */
  logits(parameters: Record<string, Tensor>, hidden: Tensor): Tensor;
  /** Next-token losses in nats, [B·T], of hidden states [B·T, D] and targets [B·T]. */
  losses(parameters: Record<string, Tensor>, hidden: Tensor, targets: Tensor): Tensor;
}

/** Column norms of a row-major [rows, columns] matrix, summed in float64. */
export function columnNorms(values: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let r = 0; r < rows; r++) {
    const base = r * columns;
    for (let c = 0; c < columns; c++) {
      const v = values[base + c]!;
      sums[c] = sums[c]! + v * v;
    }
  }
  return sums.map(Math.sqrt);
}

/** A model of our own layout; `tensors` gives those of `parameterShapes`. */
export function nativeModel(
  shape: ModelShape,
  tensors: () => AsyncIterable<[string, HostTensor]>,
): MeasuredModel {
  return {
    layers: shape.layers,
    ff: shape.ff,
    vocabSize: shape.vocabSize,
    tensors,
    downProjections: downProjectionNames(shape.layers),
    hiddenStates: (params, tokens, tap) => hiddenStates(shape, params, tokens, tap),
    logits: (params, hidden) => logitsOf(shape, params, hidden),
    losses: (params, hidden, targets) => tokenLosses(logitsOf(shape, params, hidden), targets),
  };
}

export const downProjectionNames = (layers: number): string[] =>
  Array.from({ length: layers }, (_, layer) => layerName(layer, 'mlp.down_proj'));
