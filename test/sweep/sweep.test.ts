import { chmod, cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sweepPaths } from '../../src/sweep/paths.js';
import type { RunView } from '../../src/sweep/status.js';
import { sparselaw } from '../cli/cli.js';
import { writeTinyCorpus } from '../training/corpus.js';
import { createWorkshop, runsOf } from './harness.js';

const { folder, grid, sweep, sweepApart, study, statusOf } = await createWorkshop();
afterAll(() => rm(folder, { recursive: true }));

const modified = async (path: string) => (await stat(path)).mtimeMs;

describe('sweep run', () => {
  it('trains and measures every run, writes what follows, and then finds nothing to do', async () => {
    await grid(
      'plain.yaml',
      10,
      'product: { seed: [0, 1] }\nfit: [{ law: constant, allPhases: true }]\nreport: report.html\ntensorboard: true',
    );
    const first = await sweep('run', 'plain.yaml', '--out', 'plain', '--parallel', '2', '--json');
    expect(first.status).toBe(0);
    const runs = runsOf(first);
    expect(runs.map(({ state }) => state)).toEqual(['done', 'done']);
    const table = join(study('plain'), 'table.csv');
    const text = await readFile(table, 'utf8');
    for (const { id } of runs) expect(text.match(new RegExp(id, 'g'))).toHaveLength(5);
    for (const name of ['fit.json', 'report.html'])
      expect(await modified(join(study('plain'), name))).toBeGreaterThan(0);

    const before = await modified(table);
    const second = await sweep('run', 'plain.yaml', '--out', 'plain', '--json');
    expect(second.status).toBe(0);
    expect(await modified(table)).toBe(before);
    for (const { id, share } of runs) {
      expect(share).toBe(1);
      const { attempts, seconds } = await statusOf('plain', id);
      expect(attempts).toHaveLength(1);
      expect(Math.min(seconds.train, seconds.measure)).toBeGreaterThan(0);
    }

    // A grid may grow: what is done stays done.
    await grid('plain.yaml', 10, 'product: { seed: [0, 1, 2] }');
    const third = runsOf(await sweep('run', 'plain.yaml', '--out', 'plain', '--json'));
    expect(third.map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
    expect(await readFile(table, 'utf8')).toContain(third[2]!.id);

    // Other measurements are made of the same checkpoints.
    const more = (await readFile(join(folder, 'plain.yaml'), 'utf8')).replace(
      'metric: zero',
      'metric: [zero, topk], k: 0.5',
    );
    await writeFile(join(folder, 'plain.yaml'), more);
    const fourth = runsOf(await sweep('run', 'plain.yaml', '--out', 'plain', '--parallel', '2', '--json'));
    for (const { id } of fourth) {
      expect((await statusOf('plain', id)).attempts.map(({ stages }) => stages)).toEqual([
        ['train', 'measure'],
        ['measure'],
      ]);
    }
  });

  it('plans without doing anything', async () => {
    await grid('dry.yaml', 20, 'product: { seed: [0, 1] }');
    const { status, stdout, stderr } = await sweep('run', 'dry.yaml', '--out', 'dry', '--dry-run');
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /8×1, ff 12 │ 0 +│ 5\d\d +│ 640 +│ 1\.\d+ +│ \d\.\d\de\+6 │ 5 +│ \d+(\.\d+)? kB │ (\d+m )?\d+s/,
    );
    expect(stdout).toMatch(/2 runs of dry.yaml: 1.28k tokens, .* kB to write \(.* free\), \d+s of training/);
    expect(stdout).toContain('Rate: measured now');
    expect(stderr).toContain('to measure the rate');
    await expect(stat(study('dry'))).rejects.toMatchObject({ code: 'ENOENT' });
    // 640 tokens at 64 a second.
    const given = await sweep('run', 'dry.yaml', '--out', 'dry', '--dry-run', '--rate', '568:64', '--json');
    expect((JSON.parse(given.stdout) as { runs: { seconds: number }[] }).runs[0]!.seconds).toBeCloseTo(10, 0);
  });

  it('shows a failed run with its reason, leaves it alone, and retries it when told', async () => {
    await grid('fails.yaml', 10, 'product: { seed: [0, 1] }');
    const planned = await sweep(
      'run',
      'fails.yaml',
      '--out',
      'fails',
      '--dry-run',
      '--rate',
      'none',
      '--json',
    );
    const [bad, good] = runsOf(planned).map(({ id }) => id);
    const inTheWay = sweepPaths(study('fails')).run(bad!);
    await grid('one.yaml', 10, 'runs: [{ seed: 1 }]');
    expect((await sweep('run', 'one.yaml', '--out', 'fails')).status).toBe(0);
    // A folder of somebody else's, where the run would be.
    await mkdir(inTheWay, { recursive: true });
    await writeFile(join(inTheWay, 'notes.txt'), 'mine');

    const second = await sweep('run', 'fails.yaml', '--out', 'fails');
    expect(second.status).toBe(3);
    expect(second.stderr).toContain('is not empty and not a run: it holds notes.txt');
    expect(second.stderr).toContain('sparselaw sweep retry fails');
    const shown = runsOf(await sweep('status', 'fails', '--json'));
    expect(shown.map(({ state }) => state)).toEqual(['failed', 'done']);
    expect(shown[0]!.reason).toMatchObject({ code: 'foreign-folder', exitStatus: 3 });

    expect((await sweep('run', 'fails.yaml', '--out', 'fails')).status).toBe(0);
    expect((await statusOf('fails', bad!)).attempts).toHaveLength(1);
    expect((await sweep('retry', 'fails', good!)).stderr).toContain('is done, not failed');

    await rm(join(inTheWay, 'notes.txt'));
    const retried = await sweep('retry', 'fails');
    expect(retried.status).toBe(0);
    expect(retried.stdout).toContain('2 runs: 2 done');
    expect((await statusOf('fails', good!)).attempts).toHaveLength(1);
  });

  it('shares runs with another sweep that was started at the same time, and runs none twice', async () => {
    await grid('race.yaml', 40, 'product: { seed: [0, 1, 2] }');
    const both = await Promise.all(
      ['one', 'other'].map(() => sweepApart('run', 'race.yaml', '--out', 'race', '--json')),
    );
    for (const outcome of both) {
      expect(outcome.status).toBe(0);
      for (const { id, state } of runsOf(outcome)) {
        expect(state).toBe('done');
        expect((await statusOf('race', id)).attempts).toHaveLength(1);
      }
    }
  });
});

describe('bad input', () => {
  /** A finished sweep of one run, copied for each test. */
  let base: string;
  let id: string;
  beforeAll(async () => {
    await grid('base.yaml', 10, 'runs: [{ seed: 5 }]');
    const made = await sweep('run', 'base.yaml', '--out', 'base', '--json');
    [{ id }] = runsOf(made) as [RunView];
    base = study('base');
  });
  const copied = async (name: string) => {
    await cp(base, study(name), { recursive: true });
    return sweepPaths(study(name)).run(id);
  };
  const change = async (path: string, from: string | RegExp, to: string) => {
    const text = await readFile(path, 'utf8');
    expect(text).toMatch(from);
    await writeFile(path, text.replace(from, to));
  };
  const refused = async (args: string[], message: RegExp, status = 3) => {
    const outcome = await sweep(...args, '--json');
    expect(outcome.status).toBe(status);
    const { error } = JSON.parse(outcome.stdout) as { error: { message: string } };
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('\n');
  };

  it('refuses another grid in the folder, and a folder of something else', async () => {
    await copied('two-grids');
    await grid('other.yaml', 10, 'runs: [{ seed: 6 }]');
    await refused(
      ['run', 'other.yaml', '--out', 'two-grids'],
      /^two-grids holds the sweep of base.yaml: 1 of its 1 runs are not in other.yaml, the first relu-/,
    );
    await refused(['run', 'base.yaml', '--out', 'corpus'], /^corpus is not empty and not a sweep/);
    await refused(['status', 'nowhere'], /^nowhere holds no sweep/);
  });

  it('refuses runs and sweeps of another version', async () => {
    const run = await copied('version');
    await change(join(run, 'provenance.json'), '"schemaVersion": 1', '"schemaVersion": 2');
    const words =
      /provenance.json was written by another version of sparselaw: its schemaVersion is 2, this one reads 1/;
    await refused(['run', 'base.yaml', '--out', 'version'], words);
    await refused(['retry', 'version'], words);
    await change(join(study('version'), 'sweep.json'), '"schemaVersion": 1', '"schemaVersion": 9');
    await refused(['status', 'version'], /sweep.json was written by another version.* is 9/);
  });

  it('refuses a configuration that was edited under a finished run', async () => {
    const run = await copied('edited');
    await change(join(run, 'config.json'), '"learningRate": 0.01', '"learningRate": 0.02');
    await refused(
      ['run', 'base.yaml', '--out', 'edited'],
      /relu-.* has another configuration: learningRate 0.02 there, 0.01 here\.$/,
    );
  });

  it('refuses a corpus that is not the one the runs were trained on', async () => {
    await copied('moved');
    await writeTinyCorpus(join(folder, 'corpus2'), { seed: 1 });
    await refused(
      ['run', 'base.yaml', '--out', 'moved', '--data', 'corpus2'],
      /was trained on another corpus than corpus2: its hash is [0-9a-f]{12}…, this one's [0-9a-f]{12}…\.$/,
    );
    // The same corpus elsewhere is the same corpus.
    await cp(join(folder, 'corpus'), join(folder, 'corpus3'), { recursive: true });
    expect((await sweep('run', 'base.yaml', '--out', 'moved', '--data', 'corpus3')).status).toBe(0);
    await refused(['run', 'base.yaml', '--out', 'moved', '--data', 'gone'], /gone/);
  });

  it('refuses runs that would not fit on the disk', async () => {
    await writeFile(
      join(folder, 'huge.yaml'),
      'defaults: { data: corpus, width: 16384, layers: 200, tokens: 1B, checkpoints: every:1M }\n',
    );
    await refused(
      ['run', 'huge.yaml', '--out', 'huge'],
      /^The runs will write about [\d,]+ MB, and [\d,]+ MB are free/,
    );
    await expect(stat(study('huge'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('says that there is no sbatch, and tells of a job that died at once', async () => {
    await grid('slurm.yaml', 10, 'runs: [{ seed: 5 }]');
    const bin = join(folder, 'bin');
    await mkdir(bin);
    const run = (...args: string[]) => sparselaw(['sweep', ...args], { cwd: folder, env: { PATH: bin } });
    const none = await run('run', 'slurm.yaml', '--out', 'slurm', '--executor', 'slurm');
    expect(none.status).toBe(4);
    expect(none.stderr).toContain('there is no program sbatch on the PATH');

    // A Slurm that takes every job and loses it.
    for (const [name, text] of [
      ['sbatch', 'echo 12'],
      ['squeue', ':'],
    ] as const) {
      await writeFile(join(bin, name), `#!/bin/sh\n${text}\n`);
      await chmod(join(bin, name), 0o755);
    }
    const submitted = await run('run', 'slurm.yaml', '--out', 'slurm', '--executor', 'slurm', '--json');
    expect(submitted.status).toBe(0);
    expect(submitted.stderr).toContain('Submitted train as job 12 (1 tasks)');
    expect(runsOf(submitted)[0]).toMatchObject({
      state: 'pending',
      reason: {
        code: 'job-lost',
        message: 'Its job 12_1 ended before it began to work; logs/slurm-12_1.log may say why',
      },
    });
    // While it waits in the queue it is not submitted again.
    await writeFile(join(bin, 'squeue'), '#!/bin/sh\necho "12_1 PENDING"\n');
    const again = await run('run', 'slurm.yaml', '--out', 'slurm', '--executor', 'slurm', '--json');
    expect(again.stderr).not.toContain('Submitted');
    expect(runsOf(again)[0]).toMatchObject({ state: 'queued', job: '12_1' });
  });
});
