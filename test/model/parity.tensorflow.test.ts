import { readdirSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/index.js';
import { openTensorflow } from '../../src/engine/tensorflow/index.js';
import { familyHiddenStates, familyLogits } from '../../src/model/families/forward.js';
import { configOf, expectedOf, FIXTURES, loadCase } from './families/load-case.js';
import { readGolden } from './golden.js';
import { compareWithGolden, OTHERS, TRAINED, trainGolden } from './train-golden.js';

/** oneDNN's sums in other orders reach 6.5e-6 of the largest gradient (the others stay below 5e-6). */
const GRADIENTS = 1e-5;

describe('tensorflow agrees with PyTorch and transformers', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openTensorflow({ device: 'cpu' });
  });

  it.each([...TRAINED, ...OTHERS])('%s: logits, AdamW steps, every gradient', async (name) => {
    const golden = await readGolden(name);
    compareWithGolden(golden, await trainGolden(engine, golden), GRADIENTS);
  });

  it.each(readdirSync(FIXTURES))('%s: logits of transformers to 2e-4', async (name) => {
    await tf.setBackend('tensorflow');
    const { spec, weights } = await loadCase(name, configOf(name));
    const { tokens, logits: wanted } = await expectedOf(name);
    const logits = tf.tidy(() => {
      const params = Object.fromEntries(
        [...weights].map(([n, { data, shape }]) => [n, tf.tensor(data, shape)]),
      );
      const ids = tf.tensor(tokens.data, tokens.shape, 'int32');
      return familyLogits(spec, params, familyHiddenStates(spec, params, ids)).dataSync();
    });
    const worst = wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - logits[i]!)), 0);
    expect(worst).toBeLessThan(2e-4);
  });
});
