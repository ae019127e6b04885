import * as tf from '@tensorflow/tfjs-core';
import { describe, it } from 'vitest';
import { type Cut, KERNEL_KINDS, kernelsOf, STARTING_CUTS } from '../../src/engine/xla/kernel-choice.js';
import { ACTIVATIONS, type ActivationName } from '../../src/model/activations/index.js';
import { rmsNorm } from '../../src/model/transformer.js';
import { expectSameGradients } from './kernel-gradients.js';

type Weights = Readonly<Record<'x' | 'start' | 'gain' | 'gate' | 'up' | 'down', tf.Tensor>>;

/** A gated network after a norm, on a residual stream. */
const lossOf =
  (activation: ActivationName) =>
  ({ x, start, gain, gate, up, down }: Weights): tf.Scalar => {
    const { apply, onUp } = ACTIVATIONS[activation];
    const stream = tf.matMul(x, start);
    const normed = rmsNorm(stream, gain, 1e-5);
    const [g, u] = [tf.matMul(normed, gate, false, true), tf.matMul(normed, up, false, true)];
    const out = tf.matMul(tf.mul(apply(g), onUp ? apply(u) : u), down, false, true);
    return tf.mean(tf.square(tf.add(stream, out)));
  };

function drawn(rows: number, width: number, ff: number) {
  const [in_, out] = [1 / Math.sqrt(width), 1 / Math.sqrt(ff)];
  return {
    x: { shape: [rows, width], scale: 1 },
    start: { shape: [width, width], scale: in_ },
    gain: { shape: [width], scale: 0.3, from: 1 },
    gate: { shape: [ff, width], scale: in_ },
    up: { shape: [ff, width], scale: in_ },
    down: { shape: [width, ff], scale: out },
  };
}

/** Two ways from one operand to one sum. */
function sumLoss({ x, start, gain, gate, up, down }: Weights): tf.Scalar {
  const h = tf.mul(tf.matMul(x, start), gain);
  const ways = [tf.relu(tf.matMul(h, gate, false, true)), tf.square(tf.matMul(h, up, false, true))];
  const out = ways.map((way) => tf.matMul(way, down, false, true));
  return tf.mean(tf.square(tf.add(out[0]!, out[1]!)));
}

describe('two products of one operand, joined', () => {
  it.each<[string, ActivationName, number, number, number, Cut]>([
    ['powers of two', 'relu', 1024, 256, 1024, STARTING_CUTS.pairs],
    ['rows that no instance divides', 'silu', 1031, 96, 192, STARTING_CUTS.pairs],
    ['columns that no tile divides', 'gelu', 517, 48, 600, STARTING_CUTS.pairs],
    ['an odd width of the operand', 'relu2', 640, 33, 72, STARTING_CUTS.pairs],
    ['one row at once', 'drelu', 700, 64, 1920, { lanesAtOnce: 64, rowsOfInstance: 1, warps: 2 }],
    ['more lanes', 'relu', 700, 64, 1920, { lanesAtOnce: 4096, rowsOfInstance: 1, warps: 8 }],
  ])('give what the plain form gives: %s', async (_name, activation, rows, width, ff, cut) => {
    const choose = kernelsOf(['pairs'], { pairs: cut });
    await expectSameGradients(drawn(rows, width, ff), lossOf(activation), choose, 1);
  });

  it.each([
    [1024, 256, 512],
    [517, 48, 72],
  ])('give what the plain form gives as parts of a sum: %i × %i, %i', async (rows, width, ff) => {
    await expectSameGradients(drawn(rows, width, ff), sumLoss, kernelsOf(['sums']), 0);
  });

  it('give what the plain form gives beside all other kernels', async () => {
    // The norm and its gradient, copies of weights, and this one.
    await expectSameGradients(drawn(1024, 256, 512), lossOf('relu'), kernelsOf(KERNEL_KINDS), 4);
  });
});
