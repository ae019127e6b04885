import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { divideCores, divideMachine, keepTo, parseCores } from '../../src/sweep/executors/devices.js';
import { recordDeath } from '../../src/sweep/executors/local.js';
import { submitToSlurm } from '../../src/sweep/executors/slurm.js';
import { arrayScript, finishScript } from '../../src/sweep/executors/slurm-script.js';
import { slurmSchema } from '../../src/sweep/grid-schema.js';
import { sweepPaths } from '../../src/sweep/paths.js';
import { trainingSeconds } from '../../src/sweep/rates.js';
import { readStatus } from '../../src/sweep/status-file.js';
import type { Sweep } from '../../src/sweep/sweep-file.js';

describe('divideMachine', () => {
  it('gives each run a GPU of its own', () => {
    const shares = divideMachine({ gpus: ['2', '5', '7'], parallel: 2 });
    expect(shares.map((share) => keepTo(share).env)).toEqual([
      { CUDA_VISIBLE_DEVICES: '2' },
      { CUDA_VISIBLE_DEVICES: '5' },
    ]);
    expect(divideMachine({ gpus: ['0', '1'] })).toHaveLength(2);
    // A run that spreads over two devices gets two.
    expect(divideMachine({ gpus: ['0', '1', '2', '3', '4'], perRun: 2 })).toEqual([
      { gpu: '0,1' },
      { gpu: '2,3' },
    ]);
    expect(() => divideMachine({ gpus: ['0'], perRun: 2 })).toThrow('each run takes 2 GPUs, and there are 1');
    expect(() => divideMachine({ gpus: ['0'], parallel: 2 })).toThrow(
      expect.objectContaining({
        exitStatus: 2,
        message: '--parallel 2: each run takes a GPU, and there are 1.',
      }),
    );
  });

  it('gives each run its cores without GPUs, and one run all of them', () => {
    // Asked for none, the engine must not find one either.
    expect(divideMachine({ gpus: [] }).map((share) => keepTo(share).env)).toEqual([
      { CUDA_VISIBLE_DEVICES: '' },
    ]);
    expect(divideMachine({ gpus: [], parallel: 2 }).every(({ cores }) => cores !== undefined)).toBe(true);
    expect(divideCores([0, 1, 2, 3, 8], 2)).toEqual([
      [0, 1],
      [2, 3, 8],
    ]);
    expect(divideCores([4, 5], 3)).toEqual([[4], [5], [4]]);
    expect(parseCores('0-2,5')).toEqual([0, 1, 2, 5]);
  });
});

describe('recordDeath', () => {
  it('gives a run whose process died at once a reason, with the last line of its log', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sparselaw-death-'));
    const paths = sweepPaths(folder);
    await mkdir(paths.logs);
    await mkdir(paths.statuses);
    await writeFile(paths.log('a'), 'one line\nCannot find module tfjs\n');
    await recordDeath(folder, 'a', { status: 1, killedBy: null });
    await recordDeath(folder, 'b', { status: null, killedBy: 'SIGKILL' });
    expect(await readStatus(folder, 'a')).toMatchObject({
      state: 'failed',
      reason: {
        code: 'died',
        message: "Its process ended with status 1; the log's last line: Cannot find module tfjs",
        exitStatus: 1,
      },
    });
    expect((await readStatus(folder, 'b'))!.reason).toMatchObject({
      message: 'Its process was ended by SIGKILL (out of memory?) without a word',
      exitStatus: 4,
    });
    await rm(folder, { recursive: true });
  });
});

describe('trainingSeconds', () => {
  const rates = [
    { flopsPerToken: 1e6, tokensPerSecond: 1000 },
    { flopsPerToken: 1e8, tokensPerSecond: 100 },
  ];
  it.each([
    ['the smallest that was measured', 1e6, 1],
    ['smaller ones, which overheads bound', 1e3, 1],
    ['between, on logarithmic axes', 1e7, Math.sqrt(10)],
    ['the largest', 1e8, 10],
    ['larger ones, at the same FLOP/s', 1e9, 100],
  ])('of %s', (_, flopsPerToken, seconds) => {
    expect(trainingSeconds(flopsPerToken, 1000, rates)).toBeCloseTo(seconds, 9);
  });
});

describe('the batch scripts of Slurm', () => {
  const slurm = slurmSchema.parse({
    partition: 'gpu',
    account: 'lab',
    time: '2:00:00',
    gres: 'gpu:1',
    cpusPerTask: 4,
    mem: '16G',
    throttle: 8,
    saveSeconds: 90,
    extra: ['--constraint=h100', '--comment=two words'],
    setup: ['module load cuda'],
  });
  const common = { cwd: '/work/my study', slurm, program: '/opt/it/run.js', log: '/s/logs/slurm-%A_%a.log' };

  it('hold what the grid says, and go back into the queue', () => {
    const script = arrayScript({
      ...common,
      name: 'sparselaw-train',
      stage: 'train',
      manifest: '/s/slurm/ids.txt',
      tasks: 12,
      folder: '/s',
    });
    for (const line of [
      '#SBATCH --array=1-12%8',
      '#SBATCH --signal=B:USR1@90',
      '#SBATCH --requeue',
      '#SBATCH --partition=gpu',
      '#SBATCH --account=lab',
      '#SBATCH --time=2:00:00',
      '#SBATCH --gres=gpu:1',
      '#SBATCH --cpus-per-task=4',
      '#SBATCH --mem=16G',
      '#SBATCH --constraint=h100',
      '#SBATCH --comment="two words"',
      '#SBATCH --chdir="/work/my study"',
      'module load cuda',
    ]) {
      expect(script.split('\n')).toContain(line);
    }
    expect(script).toContain(`run.js sweep task /s "$run" --stage train &`);
    expect(script).toContain('scontrol requeue "$');
  });

  it('need no GPU for the table', () => {
    const script = finishScript({ ...common, name: 'finish' }, [['table', 'a b', '--out', 't.csv']]);
    expect(script).not.toContain('--gres');
    expect(script).toContain("run.js table 'a b' --out t.csv || status=$?");
  });

  it('and the runs they name stay apart when two are submitted at the same moment', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sparselaw-slurm-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, 'sbatch'), '#!/bin/sh\necho 7\n', { mode: 0o755 });
    vi.stubEnv('PATH', folder);
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => {
      vi.unstubAllEnvs();
      vi.useRealTimers();
    });
    const sweep = { folder, slurm, measure: [], table: null, fit: [], report: null } as unknown as Sweep;
    for (const id of ['one', 'other']) await submitToSlurm(folder, sweep, [id], { program: 'run.js' });
    const { slurm: files } = sweepPaths(folder);
    const lists = (await readdir(files)).filter((name) => name.endsWith('.txt'));
    const texts = await Promise.all(lists.map((name) => readFile(join(files, name), 'utf8')));
    expect(texts.sort()).toEqual(['one\n', 'other\n']);
  });
});
