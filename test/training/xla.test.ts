import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Config, resolveConfig } from '../../src/config.js';
import { openEngine } from '../../src/engine/index.js';
import { train } from '../../src/training/train.js';
import { TEST_DEVICE } from '../engine/xla/with-xla.js';
import { TINY, writeTinyCorpus } from './corpus.js';
import { expectExactResume, lossesOf } from './runs.js';

/** Un-skip by installing the plugin: `sparselaw engine install`. */
const hasXla = await openEngine('xla', { device: TEST_DEVICE }).then(
  async (engine) => {
    await engine.close();
    return true;
  },
  () => false,
);

const folder = await mkdtemp(join(tmpdir(), 'sparselaw-xla-'));
afterAll(() => rm(folder, { recursive: true }));
const data = await writeTinyCorpus(join(folder, 'corpus'));
const configOf = (changes: Partial<Config>): Config =>
  resolveConfig({ flags: { ...TINY, data, keepState: 9, ...changes }, corpusVocabSize: 32 });
// The processor's programs are deterministic as they are.
const deterministic = TEST_DEVICE === 'cuda';

describe.skipIf(!hasXla)('training on xla', () => {
  it.each([{}, { accumulate: 2 }])('resumes to the bytes of an uninterrupted run, %j', async (changes) => {
    const config = configOf({ engine: 'xla', device: TEST_DEVICE, deterministic, ...changes });
    await expectExactResume(config, folder);
  });

  it('follows the reference engine, with and without accumulation', async () => {
    const runs = ['cpu-1', 'xla-1', 'xla-2'];
    for (const run of runs) {
      const [engine, accumulate] = run.split('-') as ['cpu' | 'xla', string];
      const device = engine === 'xla' ? TEST_DEVICE : 'cpu';
      await train(configOf({ engine, device, accumulate: Number(accumulate) }), { out: join(folder, run) });
    }
    const [reference, ...others] = await Promise.all(runs.map((run) => lossesOf(join(folder, run))));
    expect(reference).toHaveLength(10);
    for (const losses of others) {
      losses.forEach((loss, i) => {
        expect(loss).toBeCloseTo(reference![i]!, 4);
      });
    }
  });
});
