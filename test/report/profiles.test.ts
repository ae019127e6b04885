import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeReport } from '../../src/report/index.js';
import { readProfiles } from '../../src/report/profiles.js';
import { writeProfile } from '../../src/sparsity/write-profile.js';
import { measurement } from '../table/synthetic-run.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-profiles-'));
  const own = measurement({ runId: 'relu-64', checkpoint: '000000002000', tokens: 2000 });
  const older = measurement({ runId: 'relu-64', checkpoint: '000000001000', tokens: 1000 });
  const neurons = Array.from({ length: 200 }, (_, i) => ({
    layer: i % 2,
    neuron: i >> 1,
    active_count: i % 2 ? i : 0,
    frequency: i % 2 ? i / 200 : 0,
  }));
  await writeProfile(folder, older, 'neurons', neurons, 'csv');
  await writeProfile(folder, own, 'neurons', neurons, 'parquet');
  const chunks = [1, 2, 4].map((size) => ({ layer: 0, chunk_tokens: size, activation_ratio: 0.1 * size }));
  await writeProfile(folder, own, 'chunks', chunks, 'csv');
  const positions = [0, 1, 2].map((position) => ({ position, activation_ratio: 0.1 + 0.01 * position }));
  await writeProfile(folder, own, 'positions', positions, 'parquet');
  // The entry read most often needs the fewest neurons.
  const tokens = [1, 2, 5].map((count, token) => ({ token, count, activation_ratio: 0.3 - 0.1 * token }));
  await writeProfile(folder, own, 'tokens', tokens, 'csv');
  const pareto = [0.5, 0.1, 0.001].map((ratio) => ({
    arm: 'topk-gate',
    parameter: ratio,
    activation_ratio: ratio,
    loss_sparse_nats_per_token: 3 + 0.01 / ratio,
    ppl_ratio: Math.exp(0.01 / ratio),
  }));
  await writeProfile(folder, own, 'pareto', pareto, 'parquet');
  await writeFile(join(folder, `${own.checkpoint}.pplp.${own.settingsHash}.json`), JSON.stringify(own));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('profiles in a report', () => {
  it('are read from both formats, those of the last checkpoint alone', async () => {
    const found = await readProfiles(folder);
    expect(found.map(({ description }) => description.profile).sort()).toEqual([
      'chunks',
      'neurons',
      'pareto',
      'positions',
      'tokens',
    ]);
    expect(found.every(({ id, description }) => id === 'relu-64' && description.tokens === 2000)).toBe(true);
    const neurons = found.find(({ description }) => description.profile === 'neurons')!;
    expect(neurons.rows[3]).toEqual({ layer: 1, neuron: 1, active_count: 3, frequency: 0.015 });
  });

  it('are drawn, and say what lies beyond an axis', async () => {
    const out = join(folder, 'page.html');
    const { charts } = await writeReport({ inputs: [folder], out, static: true });
    expect(charts).toEqual(
      expect.arrayContaining([
        'pareto-swept-relu-64-pplp',
        'neurons-relu-64-pplp',
        'chunks-relu-64-pplp',
        'positions-relu-64-pplp',
        'tokens-relu-64-pplp',
      ]),
    );
    const page = await readFile(out, 'utf8');
    expect(page).toContain('1 setting of more than 8 times the dense perplexity lies beyond the axis.');
    expect(page).toContain('vocabulary entries: from 30.0% over 20.0% in the middle to 10.0%');
    expect(page).toContain('tokens of the text: from 30.0% over 10.0% in the middle to 10.0%');
    // Half of layer 2's neurons are active on half of the tokens or more; layer 1 sleeps.
    const spoken = /layer 1: (.*?) of neurons are active on half of the tokens or more; layer 2: (\d+)/.exec(
      page,
    )!;
    expect(spoken[1]).toBe('0%');
    expect(Math.abs(Number(spoken[2]) - 50)).toBeLessThan(3);
  });
});
