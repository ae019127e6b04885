import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Config, resolveConfig } from '../../src/config.js';
import { train } from '../../src/training/train.js';
import { runCommand } from '../engine/xla/pjrt/child.js';
import { TINY, writeTinyCorpus } from './corpus.js';
import { expectExactResume, lossesOf } from './runs.js';

let folder: string;
let data: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-tensorflow-'));
  data = await writeTinyCorpus(join(folder, 'corpus'));
});
afterAll(() => rm(folder, { recursive: true }));

const configOf = (changes: Partial<Config>): Config =>
  resolveConfig({
    flags: { ...TINY, data, device: 'cpu', keepState: 9, ...changes },
    corpusVocabSize: 32,
  });

describe('training on tensorflow', () => {
  it.each([{}, { accumulate: 2 }])('resumes to the bytes of an uninterrupted run, %j', async (changes) => {
    const config = configOf({ engine: 'tensorflow', ...changes });
    await expectExactResume(config, folder);
  });

  it('loses as xla does, to 1e-5 over 20 steps, and is measured alike to 1e-3', async () => {
    const size = { layers: 2, width: 32, heads: 4, ff: 48, seqLen: 16, batchTokens: 128, tokens: 2560 };
    const runs = [];
    for (const engine of ['xla', 'tensorflow'] as const) {
      const run = join(folder, engine);
      await train(configOf({ ...size, engine, activation: 'relu', checkpoints: '2560' }), { out: run });
      runs.push(run);
    }
    const [xla, tensorflow] = await Promise.all(runs.map(lossesOf));
    expect(xla).toHaveLength(20);
    expect(xla![19]).toBeLessThan(0.9 * xla![0]!);
    tensorflow!.forEach((loss, i) => {
      expect(Math.abs(loss / xla![i]! - 1), `step ${i + 1}`).toBeLessThan(1e-5);
    });

    const measured = [];
    for (const engine of ['xla', 'tensorflow']) {
      const args = ['measure', runs[0]!, '--metric', 'pplp,zero,topk,cett,fat', '--p', '1', '--k', '0.3'];
      const settings = [
        '--cett',
        '0.2',
        '--epsilon',
        '0.05',
        '--device',
        'cpu',
        '--force',
        '--json',
        '--quiet',
      ];
      const { status, stdout, stderr } = await runCommand([...args, ...settings, '--engine', engine]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      measured.push(JSON.parse(stdout).measurements);
    }
    const [reference, other] = measured as Record<string, number>[][];
    expect(reference!.length).toBeGreaterThanOrEqual(5);
    for (const [i, measurement] of reference!.entries()) {
      for (const key of ['activationRatio', 'activationRatioDense', 'sparsity']) {
        const difference = Math.abs(measurement[key]! - other![i]![key]!);
        expect(difference, `${measurement.metric}: ${key}`).toBeLessThan(1e-3);
      }
      const [a, b] = [measurement, other![i]!].map(
        (m) => (m.perplexity as unknown as { ratio: number }).ratio,
      );
      expect(Math.abs(a! / b! - 1)).toBeLessThan(1e-3);
    }
  });
});
