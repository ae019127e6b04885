import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { kernelsOf } from '../../../src/engine/xla/kernel-choice.js';
import { withOwnKernels } from '../../../src/engine/xla/own-kernels.js';
import { joinSums } from '../../../src/engine/xla/product-sums.js';
import { counts, expectEqual, gradientProgram } from './gradient-programs.js';

const ROWS = 512;
const WIDTH = 16;

type Act = (x: tf.Tensor) => tf.Tensor;
const same: Act = (x) => x;

interface Form {
  readonly rows?: number;
  /** What each product of the operand goes through on its way. */
  readonly acts?: readonly Act[];
  readonly widths?: readonly number[];
  /** Weights as [D, F]. */
  readonly across?: boolean;
  /** What else is made of the operand. */
  readonly more?: (h: tf.Tensor) => tf.Tensor;
}

/** Σᵢ actᵢ(h·Wᵢ)·Vᵢ of h = x·S: such a sum itself, and so is its gradient by h. */
function program({
  rows = ROWS,
  acts = [tf.relu, tf.square, same],
  widths = [24, 64, 24],
  across = false,
  more,
}: Form) {
  const into = acts.map((_, i) => (across ? [WIDTH, widths[i]!] : [widths[i]!, WIDTH]));
  const out = acts.map((_, i) => [widths[i]!, WIDTH]);
  return gradientProgram([[rows, WIDTH], [WIDTH, WIDTH], ...into, ...out], (x, start, ...weights) => {
    const h = tf.matMul(x, start!);
    const ways = acts.map((act, i) =>
      tf.matMul(act(tf.matMul(h, weights[i]!, false, !across)), weights[acts.length + i]!),
    );
    return [...ways, ...(more ? [more(h)] : [])].reduce((a, b) => tf.add(a, b));
  });
}

const choose = kernelsOf(['sums']);

describe('a sum of products, as one', () => {
  it.each<[string, Form, before: number, after: number]>([
    ['three, one of which is in memory', {}, 20, 12],
    ['two', { acts: [tf.relu, tf.square] }, 14, 10],
    ['weights the other way round', { across: true }, 20, 12],
    ['rows that are no round number', { rows: 517 }, 20, 12],
    // Its gradient by h has a fourth part, which is no product.
    ['one that more is added to', { more: same }, 20, 16],
  ])('%s', async (_name, form, before, after) => {
    const plain = await program(form);
    const own = joinSums(plain, choose);
    expect([counts(plain), counts(own)]).toEqual([
      { calls: 0, products: before },
      { calls: 0, products: after },
    ]);
    expectEqual(own, plain, 'ordinary values');
    expectEqual(own, plain, 'infinities and NaN');
  });

  it.each<[string, Form]>([
    ['most of which is in memory', { acts: [tf.relu, same, same] }],
    ['of few rows', { rows: 511 }],
    ['of parts that do not begin at 16 bytes', { widths: [24, 60, 24] }],
  ])('leaves one %s alone', async (_name, form) => {
    const plain = await program(form);
    expect(joinSums(plain, choose)).toBe(plain);
  });

  it('leaves parts alone that are computed from the same, which XLA would read twice', async () => {
    const shapes = [
      [ROWS, WIDTH],
      [WIDTH, WIDTH],
      [64, WIDTH],
      [64, WIDTH],
      [64, WIDTH],
    ];
    const plain = await gradientProgram(shapes, (x, start, gate, up, down) => {
      const h = tf.matMul(x, start!);
      const [g, u] = [tf.matMul(h, gate!, false, true), tf.matMul(h, up!, false, true)];
      return tf.matMul(tf.mul(tf.relu(g), u), down!);
    });
    expect(joinSums(plain, choose)).toBe(plain);
  });

  it('leaves all alone unless it is chosen; with copies of weights of our own it is right too', async () => {
    const plain = await program({});
    expect(joinSums(plain, () => undefined)).toBe(plain);
    const own = withOwnKernels(plain, kernelsOf(['sums', 'casts', 'squares']));
    expect(counts(own)).toEqual({ calls: 2, products: 12 });
    expectEqual(own, plain, 'ordinary values');
  });
});
