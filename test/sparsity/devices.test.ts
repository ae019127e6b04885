import { describe, expect, it } from 'vitest';
import { openEngine } from '../../src/engine/index.js';
import { openSession } from '../../src/sparsity/evaluate.js';
import { outputNormRule } from '../../src/sparsity/rules.js';
import { WITHOUT_PLUGIN } from '../engine/xla/with-xla.js';
import { measured, windowsOf } from './harness.js';
import { randomModel, spoken } from './reference.js';

describe.skipIf(WITHOUT_PLUGIN)('measuring on several devices', () => {
  it('gives every window the values of one device', async () => {
    const model = randomModel({ act: 'relu', gated: true, layers: 2 });
    // Seven windows: the last batch of four is padded.
    const windows = windowsOf(spoken(model, 7, 16));
    const passes = async (devices: number) => {
      const engine = await openEngine('xla', { device: 'cpu', devices });
      const session = await openSession(engine, measured(model), { batchWindows: 4 });
      const result = [
        await session.masked(outputNormRule, windows, [0.02, 0.01]),
        await session.dense(outputNormRule, windows, [
          [0.01, 0.02, 0.05],
          [0.01, 0.02, 0.05],
        ]),
        await session.range(windows),
        await session.census(outputNormRule, windows, [0.02, 0.01]),
      ];
      session.dispose();
      expect(engine.memory().liveTensors).toBe(0);
      await engine.close();
      return result;
    };
    const one = await passes(1);
    expect(await passes(2)).toEqual(one);
    expect(await passes(4)).toEqual(one);
  });
});
