import { setTimeout as sleep } from 'node:timers/promises';
import { inputError, SparselawError } from '../errors.js';
import { runPaths } from '../files/run.js';
import { pathExists } from '../io/exists.js';
import { withFile } from '../io/file-error.js';
import { freeBytes } from '../io/free-space.js';
import { canonicalJson } from '../io/hash.js';
import { type Lock, takeLock } from '../io/lock.js';
import { makeFolder } from '../io/make-folder.js';
import { printable } from '../io/printable.js';
import { checkRuns } from './check-runs.js';
import type { GridFile } from './grid-file.js';
import { sweepPaths } from './paths.js';
import { type PlannedRun, sweepOf } from './plan.js';
import { readSweepIfThere, type Sweep, writeSweep } from './sweep-file.js';

/**
 * Makes a folder the sweep of a grid, or finds that it is. A grid may add runs to a sweep, not drop any.
 * @throws SparselawError (status 3) for another grid's folder, runs that do not fit, or a disk too small; then
 *   nothing was changed
 */
export async function prepareSweep(
  folder: string,
  file: GridFile,
  runs: readonly PlannedRun[],
  { checkDisk = true } = {},
): Promise<Sweep> {
  const sweep = sweepOf(file, runs);
  refuseOtherGrid(folder, await readSweepIfThere(folder), sweep);
  await checkRuns(folder, sweep);
  if (checkDisk) await refuseSmallDisk(folder, runs);
  await withFile('write', folder, () => makeFolder(folder));
  const lock = await lockFolder(folder);
  try {
    // Again under the lock: another grid may have come first.
    const existing = await readSweepIfThere(folder);
    refuseOtherGrid(folder, existing, sweep);
    // Untouched where nothing changed, so that its time stays true.
    if (!existing || canonicalJson(existing) !== canonicalJson(sweep)) await writeSweep(folder, sweep);
    return sweep;
  } finally {
    await lock.release();
  }
}

/** Another process holds this lock for a moment only. */
async function lockFolder(folder: string): Promise<Lock> {
  for (let tries = 0; ; tries++) {
    try {
      return await takeLock(sweepPaths(folder).lock, {
        what: folder,
        held: ({ pid, host }) =>
          inputError(`${printable(folder)} is being set up by process ${pid} on ${printable(host)}.`, {
            code: 'locked',
            suggestions: ['Run the command again in a moment.'],
          }),
      });
    } catch (error) {
      if (tries === 20 || !(error instanceof SparselawError && error.code === 'locked')) throw error;
      await sleep(250);
    }
  }
}

function refuseOtherGrid(folder: string, existing: Sweep | undefined, sweep: Sweep): void {
  const ids = new Set(sweep.runs.map(({ id }) => id));
  const dropped = existing?.runs.filter(({ id }) => !ids.has(id)) ?? [];
  if (!existing || dropped.length === 0) return;
  throw inputError(
    `${printable(folder)} holds the sweep of ${printable(existing.grid.path)}: ${dropped.length} of its ` +
      `${existing.runs.length} runs are not in ${printable(sweep.grid.path)}, the first ${dropped[0]!.id}.`,
    {
      code: 'other-grid',
      suggestions: ['Choose another --out. A grid may add runs to a sweep, not change or drop any.'],
    },
  );
}

/** Bytes that the runs which are not trained yet will write, at their largest. */
export async function bytesToWrite(folder: string, runs: readonly PlannedRun[]): Promise<number> {
  const paths = sweepPaths(folder);
  const trained = await Promise.all(runs.map(({ id }) => pathExists(runPaths(paths.run(id)).done)));
  return runs.reduce((sum, { plan }, i) => sum + (trained[i] ? 0 : plan.disk.totalBytes), 0);
}

async function refuseSmallDisk(folder: string, runs: readonly PlannedRun[]): Promise<void> {
  const [needed, free] = await Promise.all([bytesToWrite(folder, runs), freeBytes(folder)]);
  if (free === undefined || needed <= free) return;
  const mega = (bytes: number) => `${Math.ceil(bytes / 1e6).toLocaleString('en')} MB`;
  throw inputError(
    `The runs will write about ${mega(needed)}, and ${mega(free)} are free at ${printable(folder)}.`,
    {
      code: 'disk-too-small',
      suggestions: [
        'Save fewer checkpoints (checkpoints), or the state of fewer (keepState).',
        'Go on all the same with --no-disk-check.',
      ],
    },
  );
}
