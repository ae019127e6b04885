import { EXIT, interruptedError } from '../src/errors.js';

/**
 * A signal that aborts at the first SIGINT, SIGTERM or SIGHUP, so that the work in hand can be finished and
 * saved; a second one ends the process at once with the status of an interruption.
 */
export function interruptionSignal(announce: (message: string) => void): {
  signal: AbortSignal;
  release(): void;
} {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    announce(`${name}: finishing the step in hand and saving; once more to stop at once.`);
    // What `throwIfAborted` throws: an error like every other, so that whoever stops that way exits 6.
    controller.abort(interruptedError(`Interrupted by ${name}.`, { code: 'interrupted' }));
  };
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of names) process.on(name, onSignal);
  return {
    signal: controller.signal,
    release: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
}
