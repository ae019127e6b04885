import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openCpu } from '../../src/engine/cpu.js';
import { openWasm } from '../../src/engine/wasm.js';
import { randomStream } from '../../src/random.js';

const values = (name: string, shape: number[]) =>
  tf.tensor(randomStream(1, name).normal(shape.reduce((a, b) => a * b, 1)), shape);

/** Runs the same function on tfjs's reference backend and on wasm. */
async function both(fn: () => tf.Tensor): Promise<[Float32Array, Float32Array]> {
  const run = async (backend: string) => {
    await tf.setBackend(backend);
    return tf.tidy(() => fn().dataSync() as Float32Array);
  };
  return [await run('cpu'), await run('wasm')];
}

function expectClose([expected, actual]: [Float32Array, Float32Array], tolerance = 1e-5) {
  expect(actual).toHaveLength(expected.length);
  const worst = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - actual[i]!)), 0);
  expect(worst).toBeLessThanOrEqual(tolerance);
}

beforeAll(async () => {
  await openCpu({});
  await openWasm({});
});

describe('wasm kernels agree with the reference backend', () => {
  afterEach(() => {
    expect(tf.engine().findBackend('wasm').numDataIds()).toBe(0);
  });

  it.each([
    [[5, 3], [3, 4], false, false],
    [[5, 3], [4, 3], false, true],
    [[3, 5], [3, 4], true, false],
    [[3, 5], [4, 3], true, true],
    [[2, 3, 40, 7], [2, 3, 7, 33], false, false],
    [[6, 7, 40], [6, 33, 7], true, true],
    [[6, 40, 7], [1, 33, 7], false, true],
    [[2, 1, 4, 3], [1, 2, 3, 5], false, false],
  ])('matMul %j × %j, transposed %s %s', async (a, b, transposeA, transposeB) => {
    expectClose(await both(() => tf.matMul(values('a', a), values('b', b), transposeA, transposeB)));
  });

  it.each([
    [
      [4, 5],
      [4, 5],
    ],
    [[4, 5], []],
    [[], [4, 5]],
    [[4, 5], [5]],
    [
      [4, 5],
      [4, 1],
    ],
    [
      [4, 1],
      [1, 5],
    ],
    [
      [2, 3, 4, 5],
      [1, 3, 1, 5],
    ],
    [
      [2, 1, 4, 1],
      [3, 1, 5],
    ],
    [[1], [1]],
    [
      [2, 3, 4, 5],
      [2, 1, 1, 5],
    ],
  ])('add, sub, mul, div of %j and %j', async (a, b) => {
    for (const operation of [tf.add, tf.sub, tf.mul, tf.div] as const)
      expectClose(await both(() => operation(values('a', a), values('b', b))));
  });

  it('compares floats with broadcasting, equal ones and those that are no number too', async () => {
    const x = () => tf.tensor2d([-1, 0, 0.5, Number.NaN, 0.5, 2], [3, 2]);
    for (const compare of [tf.greater, tf.greaterEqual] as const) {
      for (const y of [
        () => tf.scalar(0.5),
        () => tf.tensor1d([0, 0.5]),
        () => tf.tensor2d([0, 0.5, 2], [3, 1]),
      ])
        expectClose(await both(() => tf.cast(compare(x(), y()), 'float32')));
    }
  });

  it('adds integers as before', async () => {
    const sum = await both(() => tf.add(tf.tensor1d([1, 2], 'int32'), tf.tensor1d([3, 4], 'int32')));
    expect(sum[1]).toEqual(sum[0]);
  });

  it('equal of integers with broadcasting, and tile', async () => {
    const ids = () => tf.tensor2d([[2], [0], [1]], [3, 1], 'int32');
    expectClose(await both(() => tf.cast(tf.equal(ids(), tf.range(0, 4, 1, 'int32')), 'float32')));
    expectClose(await both(() => tf.tile(values('x', [3, 1, 4]), [1, 5, 1])));
    expectClose(await both(() => tf.tile(values('x', [3, 1]), [1, 5])));
    expectClose(await both(() => tf.tile(values('x', [3, 2]), [2, 2])));
  });

  it('unsortedSegmentSum: repeated, absent and negative ids', async () => {
    const ids = () => tf.tensor1d([2, 0, 2, -1], 'int32');
    expectClose(await both(() => tf.unsortedSegmentSum(values('x', [4, 3]), ids(), 4)));
  });

  it('gather along an axis with a batch axis', async () => {
    const ids = () => tf.tensor2d([[2], [0], [1]], [3, 1], 'int32');
    expectClose(await both(() => tf.gather(values('x', [3, 4]), ids(), 1, 1)));
    expectClose(await both(() => tf.gather(values('x', [3, 4, 5]), ids(), 2, 1)));
    expectClose(await both(() => tf.gather(values('x', [3, 4]), tf.tensor1d([1, 1], 'int32'))));
  });
});
