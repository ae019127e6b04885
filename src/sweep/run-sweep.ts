import { inputError } from '../errors.js';
import { takeLock } from '../io/lock.js';
import { printable } from '../io/printable.js';
import type { Share } from './executors/devices.js';
import { runLocally } from './executors/local.js';
import { finishCommands, isStale, runFinish } from './finish.js';
import { sweepPaths } from './paths.js';
import { type RunView, sweepStatus } from './status.js';
import { readStatus, writeStatus } from './status-file.js';
import type { Sweep } from './sweep-file.js';

/** States in which a run has something left to do that may begin by itself. */
const TO_DO = new Set<RunView['state']>(['pending', 'stopped', 'trained', 'running']);

/** The runs that still have something to do: neither done, nor failed, nor with the batch system already. */
export const runsToDo = (views: readonly RunView[]): string[] =>
  views.filter(({ state }) => TO_DO.has(state)).map(({ id }) => id);

export interface PoolOptions {
  shares: readonly Share[];
  /** Path of the program's executable script. */
  program: string;
  signal: AbortSignal;
  /** Told whenever something may have changed, and every few seconds. */
  onChange(views: readonly RunView[]): void;
  /** Told when a run has ended, well or not. */
  onEnd(view: RunView): void;
}

/** How often progress is looked up. */
const WATCH_MS = 3000;

/** Works through runs on this machine, then writes table, fits and report. */
export async function runPool(
  folder: string,
  sweep: Sweep,
  ids: readonly string[],
  options: PoolOptions,
): Promise<{ views: RunView[]; finishStatus: number }> {
  const { shares, program, signal, onChange, onEnd } = options;
  const watch = setInterval(() => {
    sweepStatus(folder, sweep).then(onChange, () => undefined);
  }, WATCH_MS);
  try {
    await runLocally(folder, sweep.folder, ids, {
      shares,
      program,
      signal,
      onEnd: async (id) => {
        const views = await sweepStatus(folder, sweep);
        onEnd(views.find((view) => view.id === id)!);
        onChange(views);
      },
    });
  } finally {
    clearInterval(watch);
  }
  const views = await sweepStatus(folder, sweep);
  return { views, finishStatus: signal.aborted ? 0 : await finishSweep(folder, sweep, views, options) };
}

/** Writes what follows from the runs, where one is measured and something is out of date. */
async function finishSweep(
  folder: string,
  sweep: Sweep,
  views: readonly RunView[],
  { program, signal }: Pick<PoolOptions, 'program' | 'signal'>,
): Promise<number> {
  const done = views.filter(({ state }) => state === 'done').map(({ id }) => id);
  if (done.length === 0 || !(await isStale(folder, sweep, done))) return 0;
  return runFinish(finishCommands(folder, sweep), program, signal);
}

/**
 * Makes failed runs ready to be run again; what they trained and measured stays.
 * @param ids those to retry; all failed ones without
 * @throws SparselawError (status 3) naming an id that did not fail or is no run of the sweep
 */
export async function clearFailures(
  folder: string,
  sweep: Sweep,
  ids: readonly string[] | undefined,
): Promise<string[]> {
  const views = await sweepStatus(folder, sweep);
  for (const id of ids ?? []) {
    const view = views.find((candidate) => candidate.id === id);
    if (view?.state === 'failed') continue;
    throw inputError(
      view
        ? `${printable(id)} is ${view.state}, not failed.`
        : `${printable(id)} is no run of ${printable(folder)}.`,
      { code: 'no-failed-run', suggestions: [`sparselaw sweep status ${printable(folder)}`] },
    );
  }
  const failed = views.filter(({ id, state }) => state === 'failed' && (!ids || ids.includes(id)));
  for (const { id } of failed) {
    const lock = await takeLock(sweepPaths(folder).runLock(id), {
      what: id,
      held: () => inputError(`${printable(id)} is being retried already.`, { code: 'locked' }),
    });
    try {
      const status = await readStatus(folder, id);
      if (status) await writeStatus(folder, { ...status, state: 'stopped', reason: null });
    } finally {
      await lock.release();
    }
  }
  return failed.map(({ id }) => id);
}
