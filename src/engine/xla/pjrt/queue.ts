import type { EventWaiter } from './events.js';

/**
 * Executions that may be under way at once: one runs, one waits, so that the device never idles between two.
 * More would only hold memory, delay an interruption and, from about 32 on, block the calling thread.
 */
const MOST_IN_FLIGHT = 2;

export interface ExecutionQueue {
  readonly inFlight: number;
  /** Counts an execution until its events (one per device) have happened, then runs `finish`. */
  add(events: readonly bigint[], doing: string, finish: () => void): void;
  /** Resolves when another execution may be queued; rejects with a failure that nobody has seen. */
  room(): Promise<void>;
  /** Resolves when nothing is under way, whether it failed or not. */
  idle(): Promise<void>;
}

export function createExecutionQueue(events: EventWaiter): ExecutionQueue {
  let inFlight = 0;
  let failure: Error | undefined;
  let wakers: (() => void)[] = [];

  const settled = () =>
    new Promise<void>((resolve) => {
      wakers.push(resolve);
    });

  async function watch(happening: readonly bigint[], doing: string, finish: () => void) {
    const results = await Promise.allSettled(happening.map((event) => events.wait(event, doing)));
    for (const result of results) if (result.status === 'rejected') failure ??= result.reason as Error;
    try {
      finish();
    } catch (error) {
      failure ??= error as Error;
    }
    inFlight--;
    const woken = wakers;
    wakers = [];
    for (const wake of woken) wake();
  }

  return {
    get inFlight() {
      return inFlight;
    },
    add(happening, doing, finish) {
      inFlight++;
      void watch(happening, doing, finish);
    },
    async room() {
      while (inFlight >= MOST_IN_FLIGHT) await settled();
      if (failure) {
        const seen = failure;
        failure = undefined;
        throw seen;
      }
    },
    async idle() {
      while (inFlight > 0) await settled();
    },
  };
}
