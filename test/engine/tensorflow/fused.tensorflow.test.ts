import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { fused, isFused } from '../../../src/engine/fused.js';
import { openTensorflow } from '../../../src/engine/tensorflow/index.js';
import { attention, causalAttention, causalBias } from '../../../src/model/attention.js';
import { tokenLosses } from '../../../src/model/losses.js';
import { inverseFrequencies, rotaryTables, rotate, rotation } from '../../../src/model/rope.js';
import { linear, rmsNorm } from '../../../src/model/transformer.js';
import { randomStream } from '../../../src/random.js';

beforeAll(async () => {
  await openTensorflow({ device: 'cpu' });
});

type Form = (...inputs: tf.Tensor[]) => tf.Tensor;

/** The result and its gradients by every input, under a cotangent that differs from element to element. */
function resultAndGradients(form: Form, shapes: readonly number[][]): Float32Array[] {
  return tf.tidy(() => {
    const stream = randomStream(1, 'fused');
    const draw = (shape: number[]) => tf.tensor(stream.normal(shape.reduce((a, b) => a * b, 1)), shape);
    const inputs = shapes.map(draw);
    const y = form(...inputs);
    return [y, ...tf.grads(form)(inputs, draw(y.shape))].map((t) => t.dataSync() as Float32Array);
  });
}

function expectSame(actual: Float32Array[], wanted: Float32Array[], tolerance = 2e-6): void {
  expect(actual.map(({ length }) => length)).toEqual(wanted.map(({ length }) => length));
  for (const [i, values] of actual.entries()) {
    const largest = Math.max(...wanted[i]!.map(Math.abs));
    const worst = Math.max(...values.map((value, j) => Math.abs(value - wanted[i]![j]!)));
    expect(worst / largest, i === 0 ? 'result' : `gradient ${i}`).toBeLessThan(tolerance);
  }
}

const plainRmsNorm: Form = (x, gain) =>
  tf.mul(tf.mul(x!, tf.rsqrt(tf.add(tf.mean(tf.square(x!), -1, true), 1e-5))), gain!);

describe('a fused kernel equals the plain form, gradients included', () => {
  it('RmsNorm', () => {
    const shapes = [[6, 8], [8]];
    expectSame(
      resultAndGradients((x, gain) => rmsNorm(x!, gain!, 1e-5), shapes),
      resultAndGradients(plainRmsNorm, shapes),
    );
  });

  it('RotateHalves, for heads of two counts', () => {
    const tables = rotaryTables(inverseFrequencies(10_000, 8), 5);
    const turn = rotation(tables);
    for (const heads of [1, 3]) {
      const shapes = [[2, 5, heads, 8]];
      expectSame(
        resultAndGradients((x) => turn(x!), shapes),
        resultAndGradients((x) => rotate(x!, tables), shapes),
      );
    }
  });

  it('RowLosses', () => {
    const targets = tf.tensor1d([3, 0, 6, 6], 'int32');
    const plain: Form = (logits) => {
      const hot = tf.cast(tf.oneHot(targets, 7), 'float32');
      return tf.sub(tf.logSumExp(logits!, 1), tf.sum(tf.mul(logits!, hot), 1));
    };
    expectSame(
      resultAndGradients((logits) => tokenLosses(logits!, targets), [[4, 7]]),
      resultAndGradients(plain, [[4, 7]]),
    );
  });

  // Whole, and in blocks of queries, of which the longest count does not divide.
  it.each([5, 256, 258, 261])('MaskedAttention over %i positions', (length) => {
    const shapes = Array.from({ length: 3 }, () => [1, length, 2, 4]);
    const bias = causalBias(length);
    expectSame(
      resultAndGradients((q, k, v) => causalAttention(q!, k!, v!, 0.5, bias), shapes),
      resultAndGradients((q, k, v) => attention(q!, k!, v!, 0.5, bias), shapes),
    );
  });

  // The kernel multiplies complex numbers, of which a head may have an odd count; it keeps the tables of the last three
  // cases beside each other.
  it.each([
    { length: 5, heads: 3, headDim: 4, theta: 10_000, scale: 0.5 },
    { length: 256, heads: 3, headDim: 6, theta: 10, scale: 0.1 },
    { length: 7, heads: 1, headDim: 2, theta: 10, scale: 0.7 },
    { length: 9, heads: 2, headDim: 10, theta: 10, scale: 0.3 },
    { length: 9, heads: 2, headDim: 10, theta: 3, scale: 0.3 },
    { length: 9, heads: 2, headDim: 10, theta: 3, scale: 0.2 },
  ])(
    'SelfAttention, $heads heads of $headDim over $length positions, as tfjs in JavaScript',
    async (size) => {
      const { length, heads, headDim, theta, scale } = size;
      const rows = 2;
      const width = heads * headDim;
      const shapes = [[rows * length, width], ...Array.from({ length: 3 }, () => [width, width])];
      const plain: Form = (x, ...weights) => {
        const tables = rotaryTables(inverseFrequencies(theta, headDim), length);
        const [q, k, v] = weights.map((weight) =>
          tf.reshape(linear(x!, weight), [rows, length, heads, headDim]),
        ) as [tf.Tensor, tf.Tensor, tf.Tensor];
        return attention(rotate(q, tables), rotate(k, tables), v, scale, causalBias(length));
      };
      const attributes = { length, heads, theta, scale };
      const actual = resultAndGradients((...inputs) => fused('SelfAttention', inputs, attributes)!, shapes);
      const wanted = await inJavaScript(() => resultAndGradients(plain, shapes));
      // Three products one after the other, at scores of about 10.
      expectSame(actual, wanted, 2e-5);
    },
  );
});

/** What `body` gives on the backend that the others are held against. */
async function inJavaScript<T>(body: () => T): Promise<T> {
  await import('@tensorflow/tfjs-backend-cpu');
  const before = tf.getBackend();
  await tf.setBackend('cpu');
  try {
    return body();
  } finally {
    await tf.setBackend(before);
  }
}

it('RotateHalves copies on a GPU what it copies on a processor, bit by bit', () => {
  const form: Form = (x) => rotation(rotaryTables(inverseFrequencies(10_000, 8), 5))(x!);
  const shapes = [[2, 5, 3, 8]];
  const wanted = resultAndGradients(form, shapes);
  const backend = tf.backend() as unknown as { isUsingGpuDevice: boolean };
  expect(backend.isUsingGpuDevice).toBe(false);
  backend.isUsingGpuDevice = true;
  try {
    expect(resultAndGradients(form, shapes)).toEqual(wanted);
  } finally {
    backend.isUsingGpuDevice = false;
  }
});

describe('fused kernels', () => {
  it('leave nothing behind', () => {
    const { binding } = tf.backend() as unknown as { binding: { getNumOfTensors(): number } };
    const attributes = { length: 256, heads: 2, theta: 100, scale: 1 };
    const matrix = [8, 8];
    const heads = [1, 256, 1, 4];
    const once = () => {
      resultAndGradients(
        (q, k, v) => fused('MaskedAttention', [q!, k!, v!], { scale: 1 })!,
        [...[heads, heads, heads]],
      );
      resultAndGradients(
        (...inputs) => fused('SelfAttention', inputs, attributes)!,
        [...[[512, 8], matrix, matrix, matrix]],
      );
    };
    once();
    const before = binding.getNumOfTensors();
    once();
    expect(binding.getNumOfTensors()).toBe(before);
  });

  it('are only where they are registered', async () => {
    expect(isFused('RmsNorm')).toBe(true);
    const onCpu = await inJavaScript(() => fused('RmsNorm', [tf.ones([1, 2]), tf.ones([2])], { epsilon: 1 }));
    expect(onCpu).toBeUndefined();
  });
});
