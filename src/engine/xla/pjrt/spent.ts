import type { PluginApi } from './api.js';

/** Together they are worth a thread's waking; the objects themselves are small. */
const WORTH_A_CALL = 1024;

/** Buffers that executions consumed: objects of the plugin without memory of the device, still to be freed. */
export interface SpentList {
  /** Takes addresses over. */
  add(addresses: BigUint64Array, from: number, count: number): void;
  /** So many more, oldest first, may be freed. @param now not to wait until there are many */
  free(count: number, now: boolean): void;
  /** Resolves when all that may be freed has been. */
  freed(): Promise<void>;
}

/**
 * A step of a large model consumes hundreds of buffers. To free them one by one kept the main thread longer than all
 * other bookkeeping of a step; so they are collected and freed by another thread, one call for many steps.
 */
export function createSpentList(api: PluginApi): SpentList {
  const call = api.prepare('Buffer_Destroy');
  const [field, length] = [call.word('buffer'), call.words.length];
  let waiting = new BigUint64Array(4 * WORTH_A_CALL);
  let count = 0;
  /** How many of them, from the first on, may be freed. */
  let ready = 0;
  /** The structs of the call under way. */
  let structs = new BigUint64Array(0);
  let ending: Promise<void> | undefined;
  /** Some of them hold memory. */
  let isUrgent = false;

  function start(): Promise<void> {
    if (structs.length < ready * length) structs = new BigUint64Array(2 * ready * length);
    for (let i = 0; i < ready; i++) {
      structs[i * length] = call.words[0]!;
      structs[i * length + field] = waiting[i]!;
    }
    return new Promise((resolve) => {
      const started = ready;
      waiting.copyWithin(0, started, count);
      count -= started;
      ready = 0;
      isUrgent = false;
      call.startEach(structs, started, () => {
        ending = undefined;
        startIfWorth();
        resolve();
      });
    });
  }

  function startIfWorth(): void {
    if (!ending && ready >= (isUrgent ? 1 : WORTH_A_CALL)) ending = start();
  }

  return {
    add(addresses, from, added) {
      if (count + added > waiting.length) {
        const larger = new BigUint64Array(2 * (count + added));
        larger.set(waiting.subarray(0, count));
        waiting = larger;
      }
      waiting.set(addresses.subarray(from, from + added), count);
      count += added;
    },
    free(more, now) {
      ready += more;
      isUrgent ||= now;
      startIfWorth();
    },
    async freed() {
      while (ending || ready > 0) {
        ending ??= start();
        await ending;
      }
    },
  };
}
