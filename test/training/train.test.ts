import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCheckpointParameters } from '../../src/checkpoint/read.js';
import type { Config } from '../../src/config.js';
import { resolveConfig } from '../../src/config.js';
import { metricsRowSchema, type StepRow } from '../../src/files/run.js';
import { readJsonl } from '../../src/io/jsonl.js';
import type { TrainEvent } from '../../src/training/events.js';
import { train } from '../../src/training/train.js';
import { TINY, writeTinyCorpus } from './corpus.js';
import { bytesOf } from './run-bytes.js';

let folder: string;
let data: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-train-'));
  data = await writeTinyCorpus(join(folder, 'corpus'));
});
afterAll(() => rm(folder, { recursive: true }));

const configOf = (changes: Partial<Config> = {}): Config =>
  resolveConfig({ flags: { ...TINY, data, ...changes }, corpusVocabSize: 32 });

describe('train', () => {
  it('learns, logs every step, validates and saves where the schedule says', async () => {
    const run = join(folder, 'plain');
    const events: TrainEvent[] = [];
    const result = await train(configOf({ tokens: 1600, checkpoints: '0+every:800' }), {
      out: run,
      onEvent: (event) => events.push(event),
    });
    expect(result).toMatchObject({ status: 'done', step: 50, tokens: 1600 });
    expect(await readdir(join(run, 'checkpoints'))).toEqual([
      '000000000000000',
      '000000000000800',
      '000000000001600',
    ]);
    expect((await readdir(run)).sort()).toEqual([
      'DONE',
      'checkpoints',
      'config.json',
      'metrics.jsonl',
      'provenance.json',
    ]);
    const { rows } = await readJsonl(join(run, 'metrics.jsonl'), metricsRowSchema);
    const steps = rows.filter((row): row is StepRow => 'learning_rate' in row);
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    // ln 32 = 3.47 at the start; the rule i → 3i + 1 is soon found.
    expect(steps[0]!.loss_nats_per_token).toBeCloseTo(Math.log(32), 1);
    expect(steps.at(-1)!.loss_nats_per_token).toBeLessThan(3);
    expect(steps.slice(0, 3).map((row) => row.phase)).toEqual(['warmup', 'warmup', 'stable']);
    const validation = rows.filter((row) => 'validation_bits_per_byte' in row);
    expect(validation.map(({ tokens }) => tokens)).toEqual([0, 800, 1600]);
    // Two bytes a token in this corpus.
    for (const row of validation) {
      expect(row.validation_bits_per_byte).toBeCloseTo(row.validation_loss_nats_per_token / Math.LN2 / 2, 6);
      expect(row.validation_tokens).toBe(37 * 8);
    }
    expect(events.filter(({ type }) => type === 'step')).toHaveLength(50);
    const { shape, parameters } = await readCheckpointParameters(result.checkpoints[2]!);
    expect(shape).toMatchObject({ layers: 1, width: 8, vocabSize: 32 });
    expect(parameters.get('model.norm.weight')!.data.some((value) => value !== 1)).toBe(true);
  });

  it('gives the same bytes for the same seed and others for another', async () => {
    const runs = ['a', 'b', 'c'].map((name) => join(folder, `seed-${name}`));
    await train(configOf({ seed: 1 }), { out: runs[0]! });
    await train(configOf({ seed: 1 }), { out: runs[1]! });
    await train(configOf({ seed: 2 }), { out: runs[2]! });
    const [a, b, c] = await Promise.all(runs.map(bytesOf));
    expect(b).toEqual(a);
    expect(c!.metrics).not.toBe(a!.metrics);
  });

  it.each([{}, { mup: { scaleEmbedding: 12, scaleDepth: 1.4, widthBase: 4 }, accumulate: 2 }])(
    'resumes to the bytes of an uninterrupted run, %j',
    async (changes) => {
      const config = configOf({ ...changes, keepState: 9 });
      const whole = join(folder, `whole-${JSON.stringify(changes).length}`);
      const parts = join(folder, `parts-${JSON.stringify(changes).length}`);
      await train(config, { out: whole });
      const controller = new AbortController();
      const first = await train(config, {
        out: parts,
        signal: controller.signal,
        onEvent: (event) => {
          if (event.type === 'step' && event.step === 3) controller.abort();
        },
      });
      expect(first.status).toBe('interrupted');
      expect(first.step).toBeLessThan(10);
      // The bar stays where it was: a second run is refused without --resume.
      await expect(train(config, { out: parts })).rejects.toMatchObject({
        exitStatus: 3,
        code: 'run-exists',
      });
      const second = await train(config, { out: parts, resume: true });
      expect(second).toMatchObject({ status: 'done', step: 10 });
      const [a, b] = [await bytesOf(whole), await bytesOf(parts)];
      // Beside the scheduled checkpoints there is the one that the interruption saved.
      for (const [name, bytes] of Object.entries(a)) expect(b[name] === bytes, name).toBe(true);
    },
  );
});
