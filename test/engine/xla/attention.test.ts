import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fusedCausalAttention } from '../../../src/engine/attention.js';
import type { Engine, TensorTree } from '../../../src/engine/index.js';
import { cudnnTakes } from '../../../src/engine/xla/kernels/cudnn-attention.js';
import { compileWithFusions } from './fusions.js';
import { openTestXla, TEST_DEVICE, WITHOUT_PLUGIN } from './with-xla.js';

type Heads = { readonly q: tf.Tensor; readonly k: tf.Tensor; readonly v: tf.Tensor };

let engine: Engine;
beforeAll(async () => {
  if (!WITHOUT_PLUGIN) engine = await openTestXla({ precision: 'bfloat16' });
});
afterAll(async () => {
  await engine?.close();
});

describe('the shapes that cuDNN takes', () => {
  it.each([
    ['heads of a multiple of 8', 9, [2, 64, 4, 64], [2, 64, 2, 64], true],
    ['heads of 256 on Hopper', 9, [2, 64, 4, 256], [2, 64, 4, 256], true],
    ['heads of 256 on Ampere', 8, [2, 64, 4, 256], [2, 64, 4, 256], false],
    ['heads of 12', 9, [2, 64, 4, 12], [2, 64, 4, 12], false],
    ['Turing', 7.5, [2, 64, 4, 64], [2, 64, 4, 64], false],
    ['query heads that do not divide', 9, [2, 64, 4, 64], [2, 64, 3, 64], false],
  ])('%s', (_name, capability, q, k, takes) => {
    expect(cudnnTakes(capability, q, k)).toBe(takes);
  });
});

// In this order: the second compiles on a backend that a first program has started.
describe.skipIf(WITHOUT_PLUGIN)('fused attention', { shuffle: false }, () => {
  it.runIf(TEST_DEVICE === 'cpu')('is absent where the device has none', async () => {
    const program = engine.compile(
      (_: TensorTree, { q, k, v }: Heads) => {
        expect(fusedCausalAttention(q, k, v, 1)).toBeUndefined();
        return tf.add(q, 0);
      },
      { name: 'absent' },
    );
    const one = engine.upload({ dtype: 'float32', shape: [1, 2, 1, 8], values: new Float32Array(16) });
    (await program.run([], { q: one, k: one, v: one })).dispose();
    one.dispose();
  });

  it.runIf(TEST_DEVICE === 'cpu')(
    'is called forward and backward in a form that XLA accepts, on bfloat16 values with fewer key heads',
    async () => {
      // The CPU plugin parses and verifies the calls and stops at their missing implementation.
      await expect(compileWithFusions()).rejects.toThrow(/__cudnn\$fmhaSoftmax/);
    },
  );
});
