import type { Doing, PluginApi } from './api.js';

const NOTHING = Promise.resolve();

/** Waits for events of a plugin without blocking the event loop, which stays alive meanwhile. */
export interface EventWaiter {
  /** Resolves when the event has happened, rejects with its error; frees the event. 0 is an event long past. */
  wait(event: bigint, doing: Doing): Promise<void>;
  /** Whether an event has happened. 0 is an event long past. */
  happened(event: bigint): boolean;
  /** For an event that has happened: frees it. @returns its error, if it has one */
  settle(event: bigint, doing: Doing): Error | undefined;
}

interface Waiting {
  readonly event: bigint;
  readonly doing: Doing;
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
  const awaiting = api.prepare('Event_Await');
  // All four have the event in the same place.
  const [event, ready] = [isReady.word('event'), isReady.word('isReady')];
  const queue: Waiting[] = [];
  /** The event a thread is blocked on: it may not be freed before that thread is back. */
  let awaited: Waiting | undefined;

  const happened = (address: bigint) => {
    if (address === 0n) return true;
    isReady.words[event] = address;
    isReady.run('asking for an event');
    return (isReady.words[ready]! & 0xffn) !== 0n;
  };

  const settle = (address: bigint, doing: Doing): Error | undefined => {
    if (address === 0n) return undefined;
    try {
      error.words[event] = address;
      error.run(doing);
      return undefined;
    } catch (failure) {
      return failure as Error;
    } finally {
      destroy.words[event] = address;
      destroy.run('freeing an event');
    }
  };

  const report = ({ event, doing, resolve, reject }: Waiting) => {
    const failure = settle(event, doing);
    if (failure) reject(failure);
    else resolve();
  };

  const next = () => {
    for (let i = 0; i < queue.length; ) {
      const waiting = queue[i]!;
      if (waiting === awaited || !happened(waiting.event)) i += 1;
      else {
        queue.splice(i, 1);
        report(waiting);
      }
    }
    if (awaited || queue.length === 0) return;
    awaited = queue[0]!;
    awaiting.words[event] = awaited.event;
    // `report` reads the event's error; the equal one that Await hands out is freed on its way back.
    awaiting.start('waiting', back);
  };
  const back = () => {
    awaited = undefined;
    next();
  };

  return {
    wait(event, doing) {
      if (event === 0n) return NOTHING;
      return new Promise((resolve, reject) => {
        queue.push({ event, doing, resolve, reject });
        next();
      });
    },
    happened,
    settle,
  };
}
