import * as tf from '@tensorflow/tfjs-core';
import { type KernelKind, PROVEN_KINDS } from '../../../src/engine/xla/kernel-choice.js';
import { tokenLosses } from '../../../src/model/losses.js';
import { rmsNorm } from '../../../src/model/transformer.js';
import { globalNorm } from '../../../src/training/adamw.js';

export const WEIGHTS = ['x', 'a', 'b', 'c', 'head', 'gain', 'last'] as const;
export type Weights = Readonly<Record<(typeof WEIGHTS)[number], tf.Tensor>>;
export const VOCABULARY = 40;

export const shapesOf = (
  rows: number,
  width: number,
): Readonly<Record<(typeof WEIGHTS)[number], number[]>> => ({
  ...{ x: [rows, width], a: [width, width], b: [width, width], c: [width, width] },
  ...{ head: [width, VOCABULARY], gain: [width], last: [width] },
});

/** Two norms on a residual stream between products, as a network has them, and a cross-entropy. */
function loss({ x, a, b, c, head, gain, last }: Weights, ids: tf.Tensor): tf.Scalar {
  const stream = tf.matMul(x, a);
  const first = tf.add(stream, tf.matMul(rmsNorm(stream, gain, 1e-5), b));
  const normed = rmsNorm(first, last, 1e-5);
  const second = tf.add(first, tf.mul(tf.relu(tf.matMul(normed, c)), tf.matMul(normed, b)));
  return tf.mean(tokenLosses(tf.matMul(second, head), ids));
}

/** The loss, the norm of all gradients and the gradients, in which every kind of kernel has its place. */
export function gradientsOf(weights: Weights, ids: tf.Tensor): tf.Tensor[] {
  const { value, grads } = tf.valueAndGrads((...values: tf.Tensor[]) =>
    loss(Object.fromEntries(WEIGHTS.map((name, i) => [name, values[i]!])) as unknown as Weights, ids),
  )(WEIGHTS.map((name) => weights[name]));
  return [value, globalNorm(Object.fromEntries(grads.map((each, i) => [WEIGHTS[i]!, each]))), ...grads];
}
export const RESULTS = ['loss', 'norm of the gradients', ...WEIGHTS] as const;

/** How many kernels of our own are called when these kinds are asked for. */
export const CALLS: readonly (readonly [kinds: readonly KernelKind[], calls: number])[] = [
  [['norms', 'normGradients'], 4],
  [['losses'], 1],
  // Gradients that products make are stored in bfloat16, those of gains in float32.
  [['squares'], 2],
  [['casts'], 1],
  [['norms', 'normGradients', 'losses', 'squares', 'casts'], 8],
  [PROVEN_KINDS, 8],
  [[], 0],
];

export const callsIn = (text: string): number => text.split('xla.gpu.triton').length - 1;
