import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, TensorTree } from '../../../src/engine/index.js';
import { KERNELS } from '../../../src/engine/xla/kernels/index.js';
import { caseInputs, GRADIENT_CASES, gradientsOf, SEGMENT_CASES } from '../gradient-cases.js';
import { type CaseInput, KERNEL_CASES, type KernelCase } from './kernel-cases.js';
import { openTestXla, WITHOUT_PLUGIN } from './with-xla.js';

let engine: Engine;

beforeAll(async () => {
  await tf.setBackend('cpu');
  if (!WITHOUT_PLUGIN) engine = await openTestXla();
});

afterAll(async () => {
  // What every program left on the device.
  if (!WITHOUT_PLUGIN) expect(engine.memory().liveTensors).toBe(0);
  await engine?.close();
});

interface Values {
  dtype: string;
  shape: number[];
  values: number[];
}

async function valuesOf(tensor: tf.Tensor): Promise<Values> {
  return { dtype: tensor.dtype, shape: tensor.shape, values: Array.from(await tensor.data()) };
}

type Inputs = readonly CaseInput[];

const tensors = (inputs: Inputs) => inputs.map(({ values, shape, dtype }) => tf.tensor(values, shape, dtype));

async function onCpu(inputs: Inputs, fn: (...xs: tf.Tensor[]) => tf.Tensor[]): Promise<Values[]> {
  const xs = tensors(inputs);
  const results = fn(...xs);
  const values = await Promise.all(results.map(valuesOf));
  tf.dispose([xs, results]);
  return values;
}

async function compiled(
  name: string,
  inputs: Inputs,
  fn: (...xs: tf.Tensor[]) => tf.Tensor[],
): Promise<Values[]> {
  const program = engine.compile((_: TensorTree, xs: readonly tf.Tensor[]) => fn(...xs), { name });
  // Tensors of the cpu backend: the program uploads them.
  const xs = tensors(inputs);
  const results = (await program.run([], xs)) as tf.Tensor[];
  const values = await Promise.all(results.map(valuesOf));
  tf.dispose([xs, results]);
  program.dispose();
  return values;
}

function expectSame(actual: Values[], wanted: Values[], relative: number): void {
  expect(actual.map(({ dtype, shape }) => ({ dtype, shape }))).toEqual(
    wanted.map(({ dtype, shape }) => ({ dtype, shape })),
  );
  for (const [i, { values }] of actual.entries()) {
    for (const [j, value] of values.entries()) {
      const want = wanted[i]!.values[j]!;
      if (Object.is(value, want) || value === want) continue;
      const error = Math.abs(value - want) / Math.max(1, Math.abs(want));
      expect(error, `result ${i}, element ${j}: ${value} instead of ${want}`).toBeLessThanOrEqual(relative);
    }
  }
}

const asList = (out: tf.Tensor | tf.Tensor[]) => (Array.isArray(out) ? out : [out]);

describe.skipIf(WITHOUT_PLUGIN)('kernels in a program equal tfjs cpu', () => {
  it.each(KERNEL_CASES.map((test, n): [string, KernelCase] => [`${test.kernel} (${n})`, test]))(
    '%s',
    async (_name, { inputs, fn, kernel, tolerance = 2e-6 }) => {
      const list = (...xs: tf.Tensor[]) => asList(fn(...xs));
      expectSame(await compiled(kernel, inputs, list), await onCpu(inputs, list), tolerance);
    },
  );

  it('covers every kernel', () => {
    const covered = new Set(KERNEL_CASES.map(({ kernel }) => kernel));
    const ownKernels = [
      'CausalAttention',
      'CausalAttentionGradient',
      'ComputedOnce',
      'ThreefryUniform',
      'ThreefryNormal',
      'LogicalXor',
    ];
    expect(Object.keys(KERNELS).filter((name) => !covered.has(name) && !ownKernels.includes(name))).toEqual(
      [],
    );
  });
});

describe.skipIf(WITHOUT_PLUGIN)('gradients in a program equal tfjs cpu', () => {
  it.each([...GRADIENT_CASES, ...SEGMENT_CASES])('$name', async (test) => {
    const inputs = caseInputs(test).map(
      ({ shape, values }): CaseInput => ({ dtype: 'float32', shape, values: Array.from(values) }),
    );
    const fn = gradientsOf(test);
    expectSame(await compiled(test.name, inputs, fn), await onCpu(inputs, fn), 1e-5);
  });
});
