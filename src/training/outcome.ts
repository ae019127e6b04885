import { access } from 'node:fs/promises';
import type { Config } from '../config.js';
import { SparselawError } from '../errors.js';
import { type Done, type Failure, listCheckpoints, runPaths } from '../files/run.js';
import { writeFileAtomic } from '../io/atomic.js';
import { printable } from '../io/printable.js';

/** Whether the run has ended as planned. */
export async function isDone(run: string): Promise<boolean> {
  return access(runPaths(run).done).then(
    () => true,
    () => false,
  );
}

/** Writes DONE: the last thing a run does. */
export const writeDone = (run: string, config: Config, step: number): Promise<void> =>
  writeJson(runPaths(run).done, {
    schemaVersion: 1,
    step,
    tokens: step * config.batchTokens,
    finishedAt: new Date().toISOString(),
  });

const writeJson = (path: string, value: Done | Failure): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);

/** Adds to an error where the run can be picked up again. */
export async function nameLastGood(run: string, error: unknown): Promise<unknown> {
  if (!(error instanceof SparselawError)) return error;
  const last = (await listCheckpoints(run).catch(() => [])).at(-1);
  const where = last ? ` The last good checkpoint is ${printable(last.path)}.` : ' No checkpoint was saved.';
  const { code, suggestions, cause } = error;
  return new SparselawError(error.message + where, error.exitStatus, { code, suggestions, cause });
}

/** Writes FAILED.json. */
export async function writeFailure(run: string, config: Config, error: unknown, step: number): Promise<void> {
  const last = (await listCheckpoints(run)).at(-1);
  const failure: Failure = {
    schemaVersion: 1,
    code: error instanceof SparselawError ? error.code : 'internal',
    message: error instanceof Error ? error.message : String(error),
    step,
    tokens: step * config.batchTokens,
    lastGoodCheckpoint: last?.name ?? null,
    failedAt: new Date().toISOString(),
  };
  await writeJson(runPaths(run).failed, failure);
}
