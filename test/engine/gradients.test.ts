import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { registerGradients } from '../../src/engine/gradients.js';
import { caseInputs, GRADIENT_CASES, type GradientCase, SEGMENT_CASES } from './gradient-cases.js';

beforeAll(async () => {
  registerGradients();
  await tf.setBackend('wasm');
});

/** Weights of the outputs, so that no two outputs' gradients can be exchanged unseen. */
const weight = (i: number) => Math.cos(i + 1);

const inputsOf = (test: GradientCase) =>
  caseInputs(test).map(({ values, shape }) => tf.tensor(values, shape));

function gradients(test: GradientCase): Float32Array[] {
  return tf.tidy(() => {
    const inputs = inputsOf(test);
    const output = test.fn(...inputs);
    const dy = tf.tensor(
      Float32Array.from({ length: output.size }, (_, i) => weight(i)),
      output.shape,
    );
    return tf
      .grads(test.fn)(inputs, dy)
      .map((g, i) => {
        expect(g.shape).toEqual(test.shapes[i]);
        return g.dataSync() as Float32Array;
      });
  });
}

/** Central differences of Σ weight·output, summed in double. */
function differences(test: GradientCase): number[][] {
  const step = 4e-3;
  const inputs = caseInputs(test);
  const value = () =>
    tf.tidy(() => {
      const output = test.fn(...inputs.map(({ values, shape }) => tf.tensor(values, shape)));
      return (output.dataSync() as Float32Array).reduce((sum, y, i) => sum + y * weight(i), 0);
    });
  return inputs.map(({ values }) =>
    Array.from(values, (x, i) => {
      values[i] = x + step;
      const above = value();
      const right = values[i];
      values[i] = x - step;
      const below = value();
      const left = values[i];
      values[i] = x;
      return (above - below) / (right - left);
    }),
  );
}

function expectClose(actual: ArrayLike<number>, wanted: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    const error = Math.abs(actual[i]! - wanted[i]!);
    expect(error, `element ${i}: ${actual[i]} instead of ${wanted[i]}`).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(wanted[i]!)),
    );
  }
}

describe('gradients on tfjs cpu equal central differences', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
  });
  it.each([...GRADIENT_CASES, ...SEGMENT_CASES])('$name', (test) => {
    const wanted = differences(test);
    for (const [i, gradient] of gradients(test).entries()) expectClose(gradient, wanted[i]!, 1e-3);
  });

  it('leaves no tensor behind', () => {
    const before = tf.memory().numTensors;
    for (const test of GRADIENT_CASES) gradients(test);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('gives every element equal to a maximum the whole gradient, and only those', () => {
    const g = tf.grad((x) => tf.max(x, 1))(tf.tensor2d([[1, 3, 3]]));
    expect(Array.from(g.dataSync())).toEqual([0, 1, 1]);
  });

  it('is 0 for relu at 0', () => {
    expect(
      Array.from(
        tf
          .grad((x) => tf.relu(x))(tf.tensor1d([0, -1, 1]))
          .dataSync(),
      ),
    ).toEqual([0, 0, 1]);
  });
});

/** tfjs's wasm backend has no kernel for these functions, or for the function in their gradient. */
const NOT_ON_WASM = new Set<string>([]);

describe('gradients on tfjs wasm equal those on cpu', () => {
  it.each(GRADIENT_CASES.filter(({ name }) => !NOT_ON_WASM.has(name)))('$name', async (test) => {
    await tf.setBackend('cpu');
    const wanted = gradients(test);
    await tf.setBackend('wasm');
    for (const [i, gradient] of gradients(test).entries()) expectClose(gradient, wanted[i]!, 1e-5);
  });
});
