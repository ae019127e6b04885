import { inputError } from '../errors.js';
import { runPaths } from '../files/run.js';
import { type Lock, takeLock } from '../io/lock.js';
import { printable } from '../io/printable.js';

/**
 * Takes the lock of a run folder, so that two processes cannot train one run.
 * @throws SparselawError (status 3) when another process holds it
 */
export const lockRun = (run: string): Promise<Lock> =>
  takeLock(runPaths(run).lock, {
    what: run,
    held: ({ pid, host }) =>
      inputError(`${printable(run)} is being trained by process ${pid} on ${printable(host)}.`, {
        code: 'locked',
        suggestions: ['Wait for it to end, or choose another --out.'],
      }),
  });
