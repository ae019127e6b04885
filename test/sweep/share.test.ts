import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { statusTable, sweepProgress } from '../../commands/sweep/_view.js';
import { runPaths } from '../../src/files/run.js';
import { sweepPaths } from '../../src/sweep/paths.js';
import { expectedTrainShare, secondsLeft, shareDone } from '../../src/sweep/share.js';
import { sweepStatus } from '../../src/sweep/status.js';
import { emptyStatus, type RunStatus, readStatus, writeStatus } from '../../src/sweep/status-file.js';
import type { Sweep } from '../../src/sweep/sweep-file.js';

const folder = await mkdtemp(join(tmpdir(), 'sparselaw-share-'));
afterAll(() => rm(folder, { recursive: true }));

const training = (done: number) => ({ done, total: 600, unit: 'tokens', perSecond: 10 });
const measuring = (done: number) => ({ done, total: 58, unit: 'checkpoints', perSecond: 2 });
const at = (progress: RunStatus['progress'], trainShare: number | null) =>
  ({ state: 'running', progress, trainShare }) as const;

describe('expectedTrainShare', () => {
  const spent = (train: number, measure: number, measured: string | null = 'hash') => ({
    measured,
    seconds: { train, measure },
  });

  it('is the seconds of training out of all, over the runs that were measured whole', () => {
    expect(expectedTrainShare(true, [spent(60, 20), spent(90, 30), spent(500, 1, null)])).toBeCloseTo(0.75);
  });

  it('is a half where no run tells it, and everything where nothing is measured', () => {
    expect(expectedTrainShare(true, [spent(60, 20, null), spent(60, 0)])).toBe(0.5);
    expect(expectedTrainShare(false, [spent(60, 20)])).toBe(1);
  });
});

describe('shareDone', () => {
  it('never falls from the first step to the last measurement', () => {
    const shares = [
      shareDone(undefined, false),
      shareDone(at(null, 0.75), false),
      shareDone(at(training(300), 0.75), false),
      shareDone(at(training(600), 0.75), false),
      shareDone(at(training(600), 0.75), true),
      shareDone(at(null, 0.75), true),
      shareDone(at(measuring(0), 0.75), true),
      shareDone(at(measuring(29), 0.75), true),
      shareDone(at(measuring(58), 0.75), true),
    ];
    expect(shares).toEqual([0, 0, 0.375, 0.75, 0.75, 0.75, 0.75, 0.875, 1]);
  });

  it('counts only the training of a run that was measured with other settings', () => {
    expect(shareDone({ ...at(measuring(58), 0.75), state: 'done' }, true)).toBe(0.75);
  });
});

describe('secondsLeft', () => {
  it('counts the measuring to come', () => {
    // 30 s of training are left of 60, and measuring lasts a third as long as training.
    expect(secondsLeft(at(training(300), 0.75))).toBeCloseTo(50);
    expect(secondsLeft(at(measuring(48), 0.75))).toBeCloseTo(5);
    expect(secondsLeft(at(training(300), 1))).toBeCloseTo(30);
  });

  it('is unknown where the speed is', () => {
    expect(secondsLeft(at(null, 0.75))).toBeNull();
    expect(secondsLeft(at({ ...training(1), perSecond: null }, 0.75))).toBeNull();
  });
});

it('sweep status tells the share of both stages, alike in the table and for scripts', async () => {
  const sweep = { measure: [{ metric: ['zero'] }], runs: [{ id: 'one' }, { id: 'two' }] } as unknown as Sweep;
  const paths = sweepPaths(folder);
  await mkdir(paths.statuses, { recursive: true });
  const write = (progress: RunStatus['progress']) =>
    writeStatus(folder, { ...emptyStatus('one'), trainShare: 0.75, progress });
  const overall = async () => sweepProgress(await sweepStatus(folder, sweep)).done;

  await write(training(600));
  const trained = await overall();
  await mkdir(paths.run('one'), { recursive: true });
  await writeFile(runPaths(paths.run('one')).done, '');
  await write(measuring(0));
  expect(await overall()).toBeCloseTo(trained);
  await write(measuring(29));
  const views = await sweepStatus(folder, sweep);
  expect(views.map(({ share }) => share)).toEqual([0.875, 0]);
  expect(await statusTable(views)).toMatch(/one .* 87%/);
});

it('reads a status file that an earlier version wrote', async () => {
  const { trainShare: _, seconds: __, ...before } = emptyStatus('old');
  await mkdir(sweepPaths(folder).statuses, { recursive: true });
  await writeFile(sweepPaths(folder).status('old'), JSON.stringify(before));
  expect(await readStatus(folder, 'old')).toMatchObject({
    trainShare: null,
    seconds: { train: 0, measure: 0 },
  });
});
