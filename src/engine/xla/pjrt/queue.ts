import type { EventWaiter } from './events.js';

/**
 * Executions that may be under way at once: one runs, one waits, so that the device never idles between two.
 * More would only hold memory, delay an interruption and, from about 32 on, block the calling thread.
 */
const MOST_IN_FLIGHT = 2;

/** Timers and signals wait no longer than this for a loop of steps that are over before anybody asks. */
const TURN_MILLISECONDS = 20;

export interface ExecutionQueue {
  /** Runs `start` once all earlier ones are over, whether they failed or not. */
  inTurn<T>(start: () => Promise<T>): Promise<T>;
  /** Counts an execution until its events (one per device) have happened; `finish` runs some time after that. */
  add(events: readonly bigint[], doing: string, finish: () => void): void;
  /** Resolves when another execution may be queued; rejects with a failure that nobody has seen. Undefined: now. */
  room(): Promise<void> | undefined;
  /** Resolves when nothing is under way, whether it failed or not. */
  idle(): Promise<void>;
}

interface Execution {
  readonly events: readonly bigint[];
  readonly doing: string;
  readonly finish: () => void;
}

/**
 * Nobody is told when an execution is over: it is looked at when the next one comes, and waited for only where
 * there are too many. Waking a thread to wait costs more than all else that a small step does on the host.
 * @param turnsOfLoop a count that only grows when the event loop turns
 */
export function createExecutionQueue(events: EventWaiter, turnsOfLoop: () => number): ExecutionQueue {
  const running: Execution[] = [];
  let failure: Error | undefined;
  let turns: Promise<unknown> = Promise.resolve();
  /** The end of the oldest execution, where somebody waits for it. */
  let oldest: Promise<void> | undefined;
  let turn = turnsOfLoop();
  let waitingSince: number | undefined;

  function end({ finish }: Execution): void {
    try {
      finish();
    } catch (error) {
      failure ??= error as Error;
    }
  }

  /** Ends those that are over already, oldest first: the events of a device happen in order. */
  function sweep(): void {
    while (!oldest && running[0]?.events.every(events.happened)) {
      const execution = running.shift()!;
      for (const event of execution.events) {
        const reason = events.settle(event, execution.doing);
        failure ??= reason;
      }
      end(execution);
    }
  }

  async function endOldest(): Promise<void> {
    const execution = running[0]!;
    const waits = execution.events.map((event) => events.wait(event, execution.doing));
    for (const result of await Promise.allSettled(waits)) {
      if (result.status === 'rejected') failure ??= result.reason as Error;
    }
    running.shift();
    oldest = undefined;
    end(execution);
  }

  /** Waits until fewer than `most` are under way. */
  async function fewerThan(most: number): Promise<void> {
    while (running.length >= most) {
      sweep();
      if (running.length < most) return;
      oldest ??= endOldest();
      await oldest;
    }
  }

  /** Whether timers and signals have waited for long: since this was first asked after the last turn. */
  function isTurnDue(): boolean {
    const now = turnsOfLoop();
    if (turn !== now) {
      turn = now;
      waitingSince = undefined;
      return false;
    }
    waitingSince ??= performance.now();
    return performance.now() - waitingSince > TURN_MILLISECONDS;
  }

  async function makeRoom(): Promise<void> {
    await fewerThan(MOST_IN_FLIGHT);
    if (isTurnDue()) {
      await new Promise(setImmediate);
      waitingSince = undefined;
    }
    if (failure) {
      const seen = failure;
      failure = undefined;
      throw seen;
    }
  }

  return {
    inTurn(start) {
      const turn = turns.then(start);
      turns = turn.catch(() => undefined);
      return turn;
    },
    add(happening, doing, finish) {
      running.push({ events: happening, doing, finish });
    },
    room() {
      sweep();
      return running.length < MOST_IN_FLIGHT && !failure && !isTurnDue() ? undefined : makeRoom();
    },
    async idle() {
      await turns;
      await fewerThan(1);
    },
  };
}
