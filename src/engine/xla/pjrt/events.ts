import type { PluginApi } from './api.js';

/** Waits for events of a plugin without blocking the event loop, which stays alive meanwhile. */
export interface EventWaiter {
  /** Resolves when the event has happened, rejects with its error; frees the event. 0 is an event long past. */
  wait(event: bigint, doing: string): Promise<void>;
  /** Whether an event has happened. 0 is an event long past. */
  happened(event: bigint): boolean;
  /** For an event that has happened: frees it. @returns its error, if it has one */
  settle(event: bigint, doing: string): Error | undefined;
}

interface Waiting {
  readonly event: bigint;
  readonly doing: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Events of one device queue complete in the order they were made, so one thread at a time waits for the oldest;
 * when it wakes, all that have happened by then are reported.
 *
 * A callback registered with `PJRT_Event_OnReady` would be the direct way, but koffi makes the plugin's thread
 * wait in it until the event loop is free. When that thread is one the next execution needs (the CPU client has
 * as many as cores, and runs small programs within the call), both wait for each other for ever; and a callback
 * that arrives while the process exits ends it with a segmentation fault.
 */
export function createEventWaiter(api: PluginApi): EventWaiter {
  const isReady = api.prepare('Event_IsReady');
  const destroy = api.prepare('Event_Destroy');
  const error = api.prepare('Event_Error');
  let queue: Waiting[] = [];
  /** The event a thread is blocked on: it may not be freed before that thread is back. */
  let awaited: Waiting | undefined;

  const happened = (event: bigint) =>
    event === 0n || (isReady.set('event', event).run('asking for an event').getInt('isReady') & 0xff) !== 0;

  const settle = (event: bigint, doing: string): Error | undefined => {
    if (event === 0n) return undefined;
    try {
      error.set('event', event).run(doing);
      return undefined;
    } catch (failure) {
      return failure as Error;
    } finally {
      destroy.set('event', event).run('freeing an event');
    }
  };

  const report = ({ event, doing, resolve, reject }: Waiting) => {
    const failure = settle(event, doing);
    if (failure) reject(failure);
    else resolve();
  };

  const next = () => {
    const over = queue.filter((waiting) => waiting !== awaited && happened(waiting.event));
    if (over.length > 0) {
      queue = queue.filter((waiting) => !over.includes(waiting));
      over.forEach(report);
    }
    if (awaited || queue.length === 0) return;
    awaited = queue[0]!;
    const back = () => {
      awaited = undefined;
      next();
    };
    // `report` reads the event's error; the equal one that Await hands out is freed by runAsync.
    api.prepare('Event_Await', { event: awaited.event }).runAsync('waiting').then(back, back);
  };

  return {
    wait(event, doing) {
      if (event === 0n) return Promise.resolve();
      return new Promise((resolve, reject) => {
        queue.push({ event, doing, resolve, reject });
        next();
      });
    },
    happened,
    settle,
  };
}
