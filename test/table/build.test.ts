import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkpointName } from '../../src/files/run.js';
import { TABLE_COLUMN_NAMES } from '../../src/files/table.js';
import { buildTable, describeMissing } from '../../src/table/build.js';
import { writeTable } from '../../src/table/write.js';
import { measurement, runConfig, runProvenance, writeRun } from './synthetic-run.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-table-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const at = (tokens: number, change = {}) =>
  measurement({ checkpoint: checkpointName(tokens), tokens, ...change });

const stepRow = (step: number, loss: number) => ({
  step,
  tokens: step * 2048,
  loss_nats_per_token: loss,
  learning_rate: 0.01,
  gradient_norm: 1,
  tokens_per_second: 1000,
  elapsed_seconds: step,
  phase: 'stable',
});
const validationRow = (step: number, loss: number) => ({
  step,
  tokens: step * 2048,
  validation_loss_nats_per_token: loss,
  validation_bits_per_byte: loss / 2,
  validation_tokens: 512,
  elapsed_seconds: step,
});

describe('buildTable', () => {
  it('tells a bound of the last checkpoints from each one’s own, and the scores of top-k', async () => {
    const settings = { metric: 'pplp', sharedCett: 'last:5' };
    const run = await writeRun(join(folder, 'relu-64'), {
      checkpoints: [131_072],
      measurements: [
        at(131_072, { settings, settingsHash: '5a5a5a5a5a' }),
        at(131_072),
        at(131_072, { metric: 'topk', kRatio: 0.1, settings: { score: 'output' } }),
      ],
    });
    const { rows } = await buildTable({ inputs: [run] });
    expect(rows.map((row) => [row.metric, row.shared_cett, row.score])).toEqual([
      ['topk', null, 'output'],
      ['pplp', null, null],
      ['pplp', 'last:5', null],
    ]);
  });

  it('takes the rows of other runs from tables, CSV and Parquet, as they are', async () => {
    const measured = async (name: string) =>
      writeRun(join(folder, name), { checkpoints: [131_072], measurements: [at(131_072)] });
    const [a, b, c] = [await measured('run-a'), await measured('run-b'), await measured('run-c')];
    const [csv, parquet] = [join(folder, 'b.csv'), join(folder, 'c.parquet')];
    await writeTable(csv, (await buildTable({ inputs: [b] })).rows);
    await writeTable(parquet, (await buildTable({ inputs: [c] })).rows);
    const joined = await buildTable({ inputs: [csv, a, parquet] });
    expect(joined.rows).toEqual((await buildTable({ inputs: [a, b, c] })).rows);
    expect(joined.rows.map((row) => row.run_id)).toEqual(['run-a', 'run-b', 'run-c']);
    expect(joined.notes).toEqual([]);
  });

  it('says which table was changed, and refuses a run that two inputs hold and a table that is none of its own', async () => {
    const run = await writeRun(join(folder, 'run-a'), {
      checkpoints: [131_072],
      measurements: [at(131_072)],
    });
    const path = join(folder, 'a.csv');
    await writeTable(path, (await buildTable({ inputs: [run] })).rows);
    await expect(buildTable({ inputs: [run, path] })).rejects.toThrow(
      /^Run run-a is in .*run-a and in .*a\.csv/,
    );
    await expect(buildTable({ inputs: [path, path] })).rejects.toThrow(/^Run run-a is in .*a\.csv and in/);

    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replaceAll('run-a', 'renamed'));
    expect((await buildTable({ inputs: [run, path] })).notes).toEqual([
      expect.stringContaining('was changed'),
    ]);

    await writeFile(path, text.slice(0, text.indexOf('\n') + 1));
    await expect(buildTable({ inputs: [path] })).rejects.toThrow(/a\.csv holds no rows/);

    await writeFile(path, text.replace('run_id,', 'model,'));
    await expect(buildTable({ inputs: [path] })).rejects.toThrow(/line 1: model is no column/);
    await writeFile(path, text.replace('\nrun-a,', '\n,'));
    await expect(buildTable({ inputs: [path] })).rejects.toThrow(/row 1 has no run_id/);
  });

  it('joins configuration, provenance and measurement into one row', async () => {
    const run = await writeRun(join(folder, 'relu-64'), {
      checkpoints: [131_072],
      measurements: [at(131_072)],
      config: runConfig({ tokens: 131_072, warmup: 4096, checkpoints: '131072' }),
      provenance: runProvenance(),
      metrics: [
        ...[stepRow(32, 4), stepRow(64, 3), validationRow(32, 9)].sort((a, b) => a.step - b.step),
        validationRow(64, 3.5),
        stepRow(70, 1),
      ],
    });
    const { rows, missing } = await buildTable({ inputs: [run] });
    expect(missing).toEqual([]);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      run_id: 'relu-64',
      checkpoint: '000000000131072',
      tokens: 131_072,
      step: 64,
      metric: 'pplp',
      p_percent: 1,
      epsilon: null,
      k_ratio: null,
      gated: true,
      width_depth_ratio: 32,
      seed: 7,
      activation_ratio: 0.125,
      sparsity: 0.875,
      train_engine: 'xla',
      phase: 'stable',
      learning_rate: 0.01,
      unique_tokens: 65_536,
      epochs: 2,
      // Of the steps since the checkpoint before, which the one at step 64 alone is.
      train_loss_nats_per_token: 3,
      validation_loss_nats_per_token: 3.5,
      validation_bits_per_byte: 1.75,
    });
    expect(Object.keys(rows[0]!)).toEqual(TABLE_COLUMN_NAMES);
  });

  it('orders by run, metric, setting and tokens, whatever the order of files', async () => {
    for (const id of ['b', 'a']) {
      await writeRun(join(folder, 'runs', id), {
        checkpoints: [2048, 4096],
        measurements: [
          at(4096, { metric: 'pplp', pPercent: 5, settingsHash: 'aa' }),
          at(2048, { metric: 'pplp', pPercent: 5, settingsHash: 'aa' }),
          at(4096, { metric: 'pplp', pPercent: 1, settingsHash: 'bb' }),
          at(2048, { metric: 'pplp', pPercent: 1, settingsHash: 'bb' }),
          at(4096, { metric: 'zero', pPercent: undefined, cett: undefined, settingsHash: 'cc' }),
          at(2048, { metric: 'zero', pPercent: undefined, cett: undefined, settingsHash: 'cc' }),
        ],
      });
    }
    const { rows } = await buildTable({ inputs: [folder] });
    const keys = rows.map((row) => [row.run_id, row.metric, row.p_percent, row.tokens].join(' '));
    const one = (run: string) => [
      `${run} zero  2048`,
      `${run} zero  4096`,
      `${run} pplp 1 2048`,
      `${run} pplp 1 4096`,
      `${run} pplp 5 2048`,
      `${run} pplp 5 4096`,
    ];
    expect(keys).toEqual([...one('a'), ...one('b')]);
  });

  it('tells the phases of the schedule apart, and says nothing where the configuration does not', async () => {
    const tokens = [640, 1280, 6400, 6464];
    const measurements = tokens.map((t) => at(t));
    const flags = { tokens: 7680, warmup: 640, decay: 1280, checkpoints: tokens.join(',') };
    await writeRun(join(folder, '1-wsd'), { checkpoints: [], measurements, config: runConfig(flags) });
    await writeRun(join(folder, '2-cosine'), {
      checkpoints: [],
      measurements,
      config: runConfig({ ...flags, schedule: 'cosine' }),
    });
    await writeRun(join(folder, '3-unknown'), { checkpoints: [], measurements });
    const { rows } = await buildTable({ inputs: [folder] });
    expect(rows.map((row) => row.phase)).toEqual([
      ...['warmup', 'stable', 'stable', 'decay'],
      ...['warmup', 'decay', 'decay', 'decay'],
      ...[null, null, null, null],
    ]);
  });

  it('names checkpoints that are missing or unmeasured, and writes no row for them', async () => {
    await writeRun(join(folder, 'relu-64'), {
      checkpoints: [1024, 2048, 4096],
      measurements: [
        ...[1024, 4096].map((t) => at(t)),
        at(2048, { metric: 'topk', kRatio: 0.1, pPercent: undefined, settingsHash: 'ee' }),
      ],
      config: runConfig({ tokens: 8192, checkpoints: '1024,2048,4096' }),
    });
    await writeRun(join(folder, 'silu-64'), { checkpoints: [1024], measurements: [] });
    const { rows, missing } = await buildTable({ inputs: [folder] });
    expect(rows).toHaveLength(3);
    expect(describeMissing(missing)).toEqual([
      'relu-64: 1 planned checkpoint not there: 000000000008192',
      'relu-64: 1 checkpoint without pplp (p = 1 %): 000000000002048',
      'relu-64: 2 checkpoints without topk (k = 0.1): 000000000001024, 000000000004096',
      'silu-64: 1 checkpoint without any measurement: 000000000001024',
    ]);
  });

  it('does not miss a checkpoint whose weights were removed after measuring', async () => {
    await writeRun(join(folder, 'relu-64'), { checkpoints: [2048], measurements: [at(1024), at(2048)] });
    expect((await buildTable({ inputs: [folder] })).missing).toEqual([]);
  });

  it('refuses two measuring precisions in a run unless told', async () => {
    const run = await writeRun(join(folder, 'relu-64'), {
      checkpoints: [1024, 2048],
      measurements: [at(1024), at(2048, { precision: 'bfloat16' })],
    });
    await expect(buildTable({ inputs: [run] })).rejects.toMatchObject({
      code: 'mixed-precision',
      exitStatus: 3,
      message: expect.stringContaining('bfloat16 and float32'),
    });
    const { rows } = await buildTable({ inputs: [run], mixedPrecision: true });
    expect(rows.map((row) => row.precision)).toEqual(['float32', 'bfloat16']);
  });

  it('tells runs of one name in two folders apart', async () => {
    for (const parent of ['first', 'second']) {
      await writeRun(join(folder, parent, 'relu'), { checkpoints: [1024], measurements: [at(1024)] });
    }
    const { rows } = await buildTable({ inputs: [join(folder, 'first'), join(folder, 'second')] });
    expect(rows.map((row) => row.run_id)).toEqual(['first/relu', 'second/relu']);
  });

  it('takes measurements of foreign checkpoints from a plain folder', async () => {
    const m = at(1024, { runId: 'pythia', metric: 'cett', pPercent: undefined });
    await writeFile(join(folder, `${m.checkpoint}.cett.${m.settingsHash}.json`), JSON.stringify(m));
    const { rows } = await buildTable({ inputs: [folder] });
    expect(rows).toMatchObject([{ run_id: 'pythia', cett: 0.21, seed: null, train_engine: null }]);
  });

  it('names the measurement file that is broken', async () => {
    const run = await writeRun(join(folder, 'relu-64'), { checkpoints: [1024], measurements: [at(1024)] });
    const path = join(run, 'sparsity', `${checkpointName(1024)}.pplp.1a2b3c4d5e.json`);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"activationRatio":0.125', '"activationRatio":1.5'));
    await expect(buildTable({ inputs: [run] })).rejects.toMatchObject({
      exitStatus: 3,
      message: expect.stringMatching(/1a2b3c4d5e\.json: "activationRatio"/),
    });
    await writeFile(path, text.slice(0, 40));
    await expect(buildTable({ inputs: [run] })).rejects.toMatchObject({ exitStatus: 3, code: 'bad-json' });
  });

  it('refuses a folder without runs and a missing one', async () => {
    await expect(buildTable({ inputs: [folder] })).rejects.toMatchObject({ code: 'no-run', exitStatus: 3 });
    await expect(buildTable({ inputs: [join(folder, 'nowhere')] })).rejects.toMatchObject({
      code: 'missing-file',
      exitStatus: 3,
    });
  });

  it('stops at an interruption', async () => {
    const run = await writeRun(join(folder, 'relu-64'), { checkpoints: [1024], measurements: [at(1024)] });
    await expect(buildTable({ inputs: [run], signal: AbortSignal.abort() })).rejects.toMatchObject({
      exitStatus: 6,
    });
  });

  it('reads more measurements than it opens at once, each once', async () => {
    const tokens = Array.from({ length: 150 }, (_, i) => (i + 1) * 1024);
    for (const run of ['one', 'other'])
      await writeRun(join(folder, run), { checkpoints: [], measurements: tokens.map((t) => at(t)) });
    const { rows } = await buildTable({ inputs: [folder] });
    expect(rows.map((row) => Number(row.tokens)).sort((a, b) => a - b)).toEqual(
      tokens.flatMap((t) => [t, t]),
    );
  });
});
