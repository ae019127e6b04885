import { readdirSync } from 'node:fs';
import type * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/index.js';
import { disposeTree } from '../../src/engine/tree.js';
import { openXla } from '../../src/engine/xla/index.js';
import { familyHiddenStates, familyLogits } from '../../src/model/families/forward.js';
import { configOf, expectedOf, FIXTURES, loadCase } from './families/load-case.js';
import { readGolden } from './golden.js';
import { compareWithGolden, OTHERS, TRAINED, trainGolden } from './train-golden.js';

/** Needs a plugin (`sparselaw engine install`); each case compiles a program of its own. */
describe('xla agrees with PyTorch and transformers', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openXla({ device: 'cpu' });
  });
  afterAll(() => engine?.close());

  it.each([...TRAINED, ...OTHERS])('%s: logits, AdamW steps, every gradient', async (name) => {
    const golden = await readGolden(name);
    compareWithGolden(golden, await trainGolden(engine, golden));
  });

  it.each(readdirSync(FIXTURES))('%s: logits of transformers to 2e-4', async (name) => {
    const { spec, weights } = await loadCase(name, configOf(name));
    const { tokens, logits: wanted } = await expectedOf(name);
    const params = Object.fromEntries(
      [...weights].map(([n, { shape, data }]) => [
        n,
        engine.upload({ dtype: 'float32', shape, values: data }),
      ]),
    );
    const ids = engine.upload({ dtype: 'int32', shape: tokens.shape, values: tokens.data });
    const program = engine.compile(
      (state: Record<string, tf.Tensor>, input: tf.Tensor) =>
        familyLogits(spec, state, familyHiddenStates(spec, state, input)),
      { name: `family-${name}` },
    );
    const result = await program.run(params, ids);
    const logits = (await result.data()) as Float32Array;
    const worst = wanted.reduce((max, value, i) => Math.max(max, Math.abs(value - logits[i]!)), 0);
    expect(worst).toBeLessThan(2e-4);
    disposeTree([result, ids, params]);
    program.dispose();
  });
});
