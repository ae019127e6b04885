import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveConfig, shapeOf } from '../../src/config.js';
import { openEngine } from '../../src/engine/index.js';
import { initialParameters, usualDeviations } from '../../src/model/parameters.js';
import { openTrainingData } from '../../src/training/data.js';
import { createTrainer } from '../../src/training/loop.js';
import { TINY, writeTinyCorpus } from './corpus.js';

const STEPS = 1000;
/** Above what the heap and the plugin's pools need to settle; a leak of one batch a step would be seen. */
const GROWTH_MEGABYTES = 24;

describe.each([1, 2])('a thousand steps on %i devices', (devices) => {
  it('hold the same tensors and memory all along', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sparselaw-memory-'));
    const engine = await openEngine('xla', { device: 'cpu', devices });
    const data = await openTrainingData(
      resolveConfig({
        flags: { ...TINY, data: await writeTinyCorpus(join(folder, 'corpus')) },
        corpusVocabSize: 32,
      }),
    );
    const config = resolveConfig({
      // 64 kB of tokens a step: forgotten batches alone would be 64 MB.
      flags: { ...TINY, data: join(folder, 'corpus'), batchTokens: 16_384, tokens: STEPS * 16_384 },
      corpusVocabSize: 32,
    });
    const wide = { ...data, batch: (step: number) => tokensOf(step, 2048 * 9) };
    const shape = shapeOf(config);
    const parameters = initialParameters(shape, usualDeviations(shape), 0);
    const zeros = Object.fromEntries(
      Object.entries(parameters).map(([name, values]) => [name, values.map(() => 0)]),
    );
    const trainer = createTrainer({
      ...{ engine, config, data: wide, step: 0, steps: STEPS },
      state: { parameters, firstMoment: zeros, secondMoment: zeros },
      onReport: () => {},
    });
    const live: number[] = [];
    const resident: number[] = [];
    for (let step = 1; step <= STEPS; step++) {
      await trainer.advance();
      if (step % 100 !== 0) continue;
      await trainer.drain();
      // A batch and the rates of a step lie ready on each device until the last step.
      live.push(engine.memory().liveTensors + (step === STEPS ? 2 * devices : 0));
      resident.push(process.memoryUsage().rss / 2 ** 20);
    }
    console.log(
      `${devices} devices: ${live} tensors; resident MB every 100 steps: ${resident.map((mb) => mb.toFixed(0))}`,
    );
    expect(new Set(live).size).toBe(1);
    expect(Math.max(...resident.slice(5)) - resident[4]!).toBeLessThan(GROWTH_MEGABYTES);
    trainer.dispose();
    expect(engine.memory().liveTensors).toBe(0);
    await engine.close();
    data.close();
    await rm(folder, { recursive: true });
  });
});

const tokensOf = (step: number, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => (i * 7 + step * 3 + (i >> 3)) % 32);
