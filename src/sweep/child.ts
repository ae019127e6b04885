import { type SpawnOptions, spawn } from 'node:child_process';

export interface ChildEnd {
  /** Exit status; null where a signal ended the process. */
  status: number | null;
  killedBy: NodeJS.Signals | null;
}

/**
 * Runs a program to its end. An abort is passed on as SIGTERM; the child is its leader's own group, so that a
 * terminal's Ctrl-C does not reach it a second time.
 * @throws the error of a program that cannot be started
 */
export function runChild(
  [file, ...args]: readonly string[],
  { signal, ...options }: Omit<SpawnOptions, 'detached' | 'signal'> & { signal: AbortSignal },
): Promise<ChildEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(file!, args, { ...options, detached: true });
    const stop = () => child.kill('SIGTERM');
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    const settle = () => signal.removeEventListener('abort', stop);
    child.once('error', (error) => {
      settle();
      reject(error);
    });
    child.once('close', (status, killedBy) => {
      settle();
      resolve({ status, killedBy });
    });
  });
}
