import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { xlaEngine } from '../../../src/engine/xla/index.js';
import { type KernelKind, kernelsOf } from '../../../src/engine/xla/kernel-choice.js';
import type { PjrtClient } from '../../../src/engine/xla/pjrt/index.js';
import { CALLS, callsIn, gradientsOf, shapesOf, WEIGHTS, type Weights } from './kernel-networks.js';

/** Says that it is a GPU, and gives back the text that it is to compile. */
function textOf(kinds: readonly KernelKind[]): Promise<string> {
  const [rows, width] = [512, 16];
  return new Promise((resolve, reject) => {
    const client = {
      ...{ platform: 'cuda', deviceCount: 1, deviceDescription: 'none', deviceAttributes: {} },
      plugin: { name: 'none', version: '0', apiVersion: [0, 0] },
      async compile({ text }: { text: string }) {
        resolve(text);
        throw new Error('the text is all');
      },
    } as unknown as PjrtClient;
    const engine = xlaEngine(client, { device: 'cuda', precision: 'bfloat16', kernels: kernelsOf(kinds) });
    const shapes = shapesOf(rows, width);
    const state = Object.fromEntries(
      WEIGHTS.map((name) => [name, tf.zeros(shapes[name])]),
    ) as unknown as Weights;
    const program = engine.compile(gradientsOf, { name: 'network' });
    program.run(state, tf.zeros([rows], 'int32')).catch(reject);
  });
}

/** The same network is computed on a GPU by test/device/row-kernels.device.ts. */
describe('a network with kernels of our own', () => {
  it.each(CALLS)('calls those of %j: %i', async (kinds, calls) => {
    expect(callsIn(await textOf(kinds))).toBe(calls);
  });
});
