import * as tf from '@tensorflow/tfjs-core';
import { describe, it } from 'vitest';
import { type Cut, DEFAULT_CUT, PROVEN_KINDS } from '../../src/engine/xla/kernel-choice.js';
import { rmsNorm } from '../../src/model/transformer.js';
import { expectSameGradients } from './kernel-gradients.js';

type Weights = Readonly<Record<'x' | 'a' | 'b' | 'c' | 'gain' | 'last', tf.Tensor>>;

/** Two norms on a residual stream between products, as a network has them. */
function loss({ x, a, b, c, gain, last }: Weights): tf.Scalar {
  const stream = tf.matMul(x, a);
  const first = tf.add(stream, tf.matMul(rmsNorm(stream, gain, 1e-5), b));
  const normed = rmsNorm(first, last, 1e-5);
  const second = tf.add(first, tf.mul(tf.relu(tf.matMul(normed, c)), tf.matMul(normed, b)));
  return tf.mean(tf.square(tf.matMul(second, a)));
}

describe('kernels of our own for rows', () => {
  it.each<[string, number, number, Cut]>([
    ['a power of two', 1024, 256, DEFAULT_CUT],
    ['a width between two powers', 1024, 768, DEFAULT_CUT],
    ['rows that no instance divides', 1031, 96, DEFAULT_CUT],
    ['an odd width', 517, 33, DEFAULT_CUT],
    ['wide rows', 513, 2000, DEFAULT_CUT],
    ['one row at once', 700, 768, { lanesAtOnce: 1, rowsOfInstance: 7, warps: 8 }],
    ['no loop', 640, 64, { lanesAtOnce: 4096, rowsOfInstance: 16, warps: 2 }],
  ])('give what the plain form gives: %s', async (_name, rows, width, cut) => {
    const square = { shape: [width, width], scale: 1 / Math.sqrt(width) };
    const gain = { shape: [width], scale: 0.3, from: 1 };
    const drawn = {
      ...{ x: { shape: [rows, width], scale: 1 }, a: square, b: square, c: square },
      ...{ gain, last: gain },
    };
    // Both norms and both of their gradients; no kernel for copies of weights.
    await expectSameGradients(drawn, loss, (kind) => (PROVEN_KINDS.includes(kind) ? cut : undefined), 4);
  });
});
