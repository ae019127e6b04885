import { describe, expect, it } from 'vitest';
import { openCpu } from '../../src/engine/cpu.js';
import { openWasm } from '../../src/engine/wasm.js';
import { readGolden } from './golden.js';
import { compareWithGolden, OTHERS, TRAINED, trainGolden } from './train-golden.js';

describe.each([
  ['cpu', openCpu],
  ['wasm', openWasm],
])('%s agrees with PyTorch', (_, open) => {
  it.each(TRAINED)('%s: logits, ten AdamW steps, every gradient', async (name) => {
    const golden = await readGolden(name);
    expect(golden.learningRates).toHaveLength(10);
    compareWithGolden(golden, await trainGolden(await open({}), golden));
  });

  it.each(OTHERS)('%s: logits and every gradient', async (name) => {
    const golden = await readGolden(name);
    compareWithGolden(golden, await trainGolden(await open({}), golden));
  });
});
