import type { EventWaiter } from './events.js';

/**
 * Executions that may be under way at once: one runs, one waits, so that the device never idles between two.
 * More would only hold memory, delay an interruption and, from about 32 on, block the calling thread.
 */
const MOST_IN_FLIGHT = 2;

export interface ExecutionQueue {
  readonly inFlight: number;
  /** Runs `start` once all earlier ones are over, whether they failed or not. */
  inTurn<T>(start: () => Promise<T>): Promise<T>;
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
  let turns: Promise<unknown> = Promise.resolve();

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
    inTurn(start) {
      const turn = turns.then(start);
      turns = turn.catch(() => undefined);
      return turn;
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
      await turns;
      while (inFlight > 0) await settled();
    },
  };
}
