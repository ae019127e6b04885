import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, TensorTree } from '../../../src/engine/index.js';
import { KERNELS } from '../../../src/engine/xla/kernels/index.js';
import { caseInputs, GRADIENT_CASES, gradientsOf, SEGMENT_CASES } from '../gradient-cases.js';
import { type CaseInput, KERNEL_CASES, type KernelCase } from './kernel-cases.js';
import { openTestXla, TEST_DEVICE, WITHOUT_PLUGIN } from './with-xla.js';

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

/**
 * Kernels of our own that tfjs's `cpu` has nothing to compare with: random streams are compared with those of the host
 * (engine.test.ts), fused attention with plain ops where there is a GPU (test/device).
 */
const NOT_ON_CPU = ['ThreefryUniform', 'ThreefryNormal', 'CausalAttention', 'CausalAttentionGradient'];

/**
 * Kernels without a gradient, as in tfjs-core: of whole numbers or of no tensors, gradients themselves, and what no
 * function that is differentiated has needed. `tf.fused.matMul` has its own. tfjs-core's for MirrorPad leaves out what
 * the mirrored elements add; there is none here.
 */
const WITHOUT_GRADIENT = [
  ...['Bincount', 'BitwiseAnd', 'ComputedOnce', 'Cumprod', 'Diag', 'Einsum', 'EluGrad', 'Fill', 'LinSpace'],
  ...['MirrorPad', 'Range', 'StridedSlice', 'TensorScatterUpdate', 'TopK', '_FusedMatMul'],
];

/** Which of the engine's kernels have the function under `key` of what `find` gives for them called in `work`. */
async function kernelsCalled<Key extends string>(
  find: (kernel: string) => Partial<Record<Key, unknown>> | undefined,
  key: Key,
  work: () => Promise<void>,
): Promise<string[]> {
  const called = new Set<string>();
  const restore = Object.keys(KERNELS).flatMap((kernel) => {
    const config = find(kernel) as Record<Key, (...args: unknown[]) => unknown> | undefined;
    if (!config) return [];
    const original = config[key];
    config[key] = (...args) => {
      called.add(kernel);
      return original(...args);
    };
    return [() => Object.assign(config, { [key]: original })];
  });
  try {
    await work();
  } finally {
    for (const undo of restore) undo();
  }
  return [...called];
}

const forwardOf = (kernel: string) => tf.getKernel(kernel, 'xla');

describe.skipIf(WITHOUT_PLUGIN)('kernels in a program equal tfjs cpu', () => {
  it.each(KERNEL_CASES.map((test, n): [string, KernelCase] => [`${test.kernel} (${n})`, test]))(
    '%s',
    async (_name, { inputs, fn, kernel, tolerance = 2e-6 }) => {
      const list = (...xs: tf.Tensor[]) => asList(fn(...xs));
      const called = await kernelsCalled(forwardOf, 'kernelFunc', async () => {
        expectSame(await compiled(kernel, inputs, list), await onCpu(inputs, list), tolerance);
      });
      // Tables are held back from fusion on the processor alone.
      if (kernel !== 'ComputedOnce' || TEST_DEVICE === 'cpu') expect(called).toContain(kernel);
    },
  );

  it('covers every kernel', () => {
    const covered = new Set([...KERNEL_CASES.map(({ kernel }) => kernel), ...NOT_ON_CPU]);
    expect(Object.keys(KERNELS).filter((name) => !covered.has(name))).toEqual([]);
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

  it('covers every kernel that has a gradient', async () => {
    await tf.setBackend('cpu');
    const called = await kernelsCalled(tf.getGradient, 'gradFunc', async () => {
      for (const test of [...GRADIENT_CASES, ...SEGMENT_CASES]) {
        const xs = caseInputs(test).map(({ values, shape }) => tf.tensor(values, shape));
        tf.dispose([xs, tf.tidy(() => gradientsOf(test)(...xs))]);
      }
    });
    const covered = new Set([...called, ...WITHOUT_GRADIENT, ...NOT_ON_CPU]);
    expect(Object.keys(KERNELS).filter((name) => !covered.has(name))).toEqual([]);
    expect(WITHOUT_GRADIENT.filter((name) => tf.getGradient(name))).toEqual([]);
  });
});
