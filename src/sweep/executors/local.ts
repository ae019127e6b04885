import { open, readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { EXIT, inputError } from '../../errors.js';
import { withFile } from '../../io/file-error.js';
import { clearDeadLock, lockHolder, takeLock } from '../../io/lock.js';
import { makeFolder } from '../../io/make-folder.js';
import { printable } from '../../io/printable.js';
import { type ChildEnd, runChild } from '../child.js';
import { sweepPaths } from '../paths.js';
import { emptyStatus, readStatus, writeStatus } from '../status-file.js';
import { keepTo, type Share } from './devices.js';

export interface LocalOptions {
  /** What each run of the pool has to itself; as many run at a time. */
  shares: readonly Share[];
  /** Path of the program's executable script. */
  program: string;
  signal: AbortSignal;
  onEnd(id: string): Promise<void>;
}

/**
 * Works through runs in a pool of processes of this program, each on its share of the machine. A process that
 * dies without a word leaves a failed run with the reason; the others go on.
 */
export async function runLocally(
  folder: string,
  cwd: string,
  ids: readonly string[],
  options: LocalOptions,
): Promise<void> {
  const { shares, signal, onEnd } = options;
  const waiting = [...ids];
  /** The next run that nobody works on; when all are in other hands, one to wait for. */
  const next = async (): Promise<string | undefined> => {
    for (const id of waiting) {
      if (!(await lockHolder(sweepPaths(folder).runLock(id)))) return take(id);
    }
    return take(waiting[0]);
  };
  const take = (id: string | undefined): string | undefined => {
    const at = id === undefined ? -1 : waiting.indexOf(id);
    // Another worker of the pool may have taken it while this one looked.
    return at < 0 ? waiting.shift() : waiting.splice(at, 1)[0];
  };
  const work = async (share: Share) => {
    while (!signal.aborted) {
      const id = await next();
      if (id === undefined) return;
      await runOne(folder, cwd, id, share, options);
      await onEnd(id);
    }
  };
  await Promise.all(shares.map(work));
}

async function runOne(
  folder: string,
  cwd: string,
  id: string,
  share: Share,
  { program, signal }: LocalOptions,
): Promise<void> {
  const paths = sweepPaths(folder);
  const { prefix, env } = keepTo(share);
  const log = await withFile('write', paths.log(id), async () => {
    await makeFolder(paths.logs);
    await makeFolder(paths.statuses);
    return open(paths.log(id), 'a');
  });
  try {
    const command = [...prefix, process.execPath, program, 'sweep', 'task', resolve(folder), id];
    const end = await runChild(command, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', log.fd, log.fd],
      signal,
    });
    await recordDeath(folder, id, end);
  } finally {
    await log.close();
  }
}

/** Gives a run whose process ended without saying why the reason that can be seen from outside. */
export async function recordDeath(folder: string, id: string, end: ChildEnd): Promise<void> {
  if (end.status === EXIT.interrupted || end.status === 0) return;
  const paths = sweepPaths(folder);
  const status = (await readStatus(folder, id)) ?? emptyStatus(id);
  if (status.state === 'failed') return;
  if (await lockHolder(paths.runLock(id))) return;
  // It died with its work done: only its lock was left to remove.
  if (status.state === 'done') return clearDeadLock(paths.runLock(id));
  const lock = await takeLock(paths.runLock(id), {
    what: id,
    held: () => inputError(`${id} is in other hands.`, { code: 'locked' }),
  });
  try {
    for (const attempt of status.attempts) if (attempt.outcome === 'running') attempt.outcome = 'lost';
    const how = end.killedBy
      ? `was ended by ${end.killedBy}${end.killedBy === 'SIGKILL' ? ' (out of memory?)' : ''}`
      : `ended with status ${end.status}`;
    const said = await lastLine(paths.log(id));
    await writeStatus(folder, {
      ...status,
      state: 'failed',
      reason: {
        code: 'died',
        message: `Its process ${how}${said ? `; the log's last line: ${said}` : ' without a word'}`,
        exitStatus: end.status !== null && end.status >= 1 && end.status <= 5 ? end.status : EXIT.engine,
      },
    });
  } finally {
    await lock.release();
  }
}

async function lastLine(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const line = text.trimEnd().split('\n').at(-1)?.trim();
  return line ? printable(line) : undefined;
}
