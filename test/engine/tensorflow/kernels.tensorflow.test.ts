import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../../src/engine/index.js';
import { openTensorflow } from '../../../src/engine/tensorflow/index.js';
import { testEagerEngine } from '../eager.js';
import { caseInputs, GRADIENT_CASES, gradientsOf, SEGMENT_CASES } from '../gradient-cases.js';
import { type CaseInput, KERNEL_CASES, type KernelCase } from '../xla/kernel-cases.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openTensorflow({ device: 'cpu' });
});

describe('tensorflow', () => testEagerEngine(openTensorflow));

interface Values {
  dtype: string;
  shape: number[];
  values: number[];
}

type Inputs = readonly CaseInput[];

async function on(
  backend: string,
  inputs: Inputs,
  fn: (...xs: tf.Tensor[]) => tf.Tensor | tf.Tensor[],
): Promise<Values[]> {
  await tf.setBackend(backend);
  const before = tf.memory().numTensors;
  const xs = inputs.map(({ values, shape, dtype }) => tf.tensor(values, shape, dtype));
  const results = tf.tidy(() => [fn(...xs)].flat());
  const values = results.map((t) => ({ dtype: t.dtype, shape: t.shape, values: Array.from(t.dataSync()) }));
  tf.dispose([xs, results]);
  expect(tf.memory().numTensors).toBe(before);
  return values;
}

function expectSame(actual: Values[], wanted: Values[], relative: number): void {
  expect(actual.map(({ shape }) => shape)).toEqual(wanted.map(({ shape }) => shape));
  for (const [i, { values }] of actual.entries()) {
    for (const [j, value] of values.entries()) {
      const want = wanted[i]!.values[j]!;
      if (Object.is(value, want) || value === want) continue;
      const error = Math.abs(value - want) / Math.max(1, Math.abs(want));
      expect(error, `result ${i}, element ${j}: ${value} instead of ${want}`).toBeLessThanOrEqual(relative);
    }
  }
}

/**
 * Not to be had, and not used by any model: tfjs-node 4.22.0 has no BitwiseAnd, and its Prelu and _FusedMatMul call
 * methods of tensors (`x.sub`) that only the whole of tfjs defines.
 */
const ABSENT = new Set(['BitwiseAnd', 'Prelu', '_FusedMatMul', 'prelu']);

describe('kernels equal tfjs cpu', () => {
  const cases = KERNEL_CASES.filter(({ kernel }) => !ABSENT.has(kernel));
  it.each(cases.map((test, n): [string, KernelCase] => [`${test.kernel} (${n})`, test]))(
    '%s',
    async (_name, { inputs, fn, tolerance = 2e-6 }) => {
      expectSame(await on('tensorflow', inputs, fn), await on('cpu', inputs, fn), tolerance);
    },
  );
});

describe('gradients equal tfjs cpu', () => {
  const cases = [...GRADIENT_CASES, ...SEGMENT_CASES].filter(({ name }) => !ABSENT.has(name));
  it.each(cases)('$name', async (test) => {
    const inputs = caseInputs(test).map(
      ({ shape, values }): CaseInput => ({ dtype: 'float32', shape, values: Array.from(values) }),
    );
    expectSame(
      await on('tensorflow', inputs, gradientsOf(test)),
      await on('cpu', inputs, gradientsOf(test)),
      1e-5,
    );
  });
});

describe('constants', () => {
  it('keeps small ones on the device, told apart by type, shape and bits', async () => {
    await tf.setBackend('tensorflow');
    const of = (x: tf.Tensor) => Array.from(tf.tidy(() => tf.div(1, tf.add(x, 0)).dataSync()));
    expect(of(tf.tensor1d([0]))).toEqual([Number.POSITIVE_INFINITY]);
    const negative = tf.tidy(() => tf.mul(tf.tensor1d([-0]), 1).dataSync()[0]);
    expect(Object.is(negative, -0)).toBe(true);
    expect(tf.tidy(() => tf.add(tf.tensor([1, 2]), tf.tensor([[1], [2]])).arraySync())).toEqual([
      [2, 3],
      [3, 4],
    ]);
  });

  it('gives the binding back what it no longer keeps', async () => {
    await tf.setBackend('tensorflow');
    const { binding } = tf.backend() as unknown as { binding: { getNumOfTensors(): number } };
    const use = (from: number) => {
      for (let i = from; i < from + 5000; i++) tf.tidy(() => void tf.add(tf.scalar(i), 1));
    };
    use(10_000);
    const kept = binding.getNumOfTensors();
    use(20_000);
    expect(binding.getNumOfTensors()).toBe(kept);
  });
});

describe('one process', () => {
  it('refuses other settings than it has begun with', async () => {
    expect(engine).toMatchObject({
      name: 'tensorflow',
      device: 'cpu',
      precision: 'float32',
      deterministic: true,
    });
    await expect(openTensorflow({ device: 'cuda' })).rejects.toMatchObject({
      code: 'tensorflow-started',
      exitStatus: 4,
    });
    await expect(openTensorflow({ precision: 'bfloat16' })).rejects.toMatchObject({ exitStatus: 4 });
    expect(await openTensorflow({})).toMatchObject({ device: 'cpu' });
  });

  it('shares tfjs-core with this program', () => {
    expect(tf.engine().findBackend('tensorflow')).toBeTruthy();
    // A tensor made by tfjs-node's kernel is an instance of our Tensor.
    expect(tf.matMul(tf.ones([2, 2]), tf.ones([2, 2])).constructor).toBe(tf.Tensor);
  });
});
