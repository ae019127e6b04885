import { describe, expect, it } from 'vitest';
import { type Config, resolveConfig } from '../../src/config.js';
import { type Engine, openEngine } from '../../src/engine/index.js';
import { createTrainer, type HostState } from '../../src/training/loop.js';
import { freshState } from '../../src/training/train.js';
import { openTestXla, TEST_DEVICES, WITHOUT_PLUGIN } from '../engine/xla/with-xla.js';
import { TINY } from './corpus.js';

const config: Config = resolveConfig({
  flags: { ...TINY, data: 'none', layers: 2, shardState: true },
  corpusVocabSize: 32,
});

/** An engine that tells of a device memory with so much room. */
const withRoom = (engine: Engine, bytesLimit: number): Engine => ({
  ...engine,
  memory: () => ({ ...engine.memory(), peakBytes: 1, bytesLimit }),
});

const trainerOn = (engine: Engine) =>
  createTrainer({
    engine,
    config,
    data: {
      batch: (index: number) => Int32Array.from({ length: 4 * 9 }, (_, i) => (i * 7 + index * 3) % 32),
    } as never,
    state: freshState(config),
    step: 0,
    steps: 9,
    onReport: () => undefined,
  });

/** The state after 3 steps, taken there while `more` steps are made before it is waited for. */
async function takenAfterThree(engine: Engine, more: number): Promise<HostState> {
  const before = engine.memory().liveTensors;
  const trainer = trainerOn(engine);
  for (let i = 0; i < 3; i++) await trainer.advance();
  const { host } = await trainer.capture();
  for (let i = 0; i < more; i++) await trainer.advance();
  const state = await host;
  await trainer.drain();
  trainer.dispose();
  expect(engine.memory().liveTensors).toBe(before);
  return state;
}

describe.skipIf(WITHOUT_PLUGIN).each([1, 2].filter((count) => count <= TEST_DEVICES))(
  'a state taken from %i devices',
  (devices) => {
    it('is that of its step, though steps go on', async () => {
      const engine = await openTestXla({ devices, deterministic: true });
      const plain = await takenAfterThree(withRoom(engine, 0), 0);
      const beside = await takenAfterThree(withRoom(engine, 1e9), 4);
      expect(beside).toEqual(plain);
      expect(await takenAfterThree(withRoom(engine, 1e9), 0)).toEqual(plain);
      await engine.close();
    });
  },
);

describe('a state taken from an engine that runs op by op', () => {
  it('is that of its step, though steps go on', async () => {
    const engine = await openEngine('cpu');
    const plain = await takenAfterThree(withRoom(engine, 0), 0);
    expect(await takenAfterThree(withRoom(engine, 1e9), 4)).toEqual(plain);
  });
});
