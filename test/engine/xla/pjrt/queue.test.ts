import { describe, expect, it } from 'vitest';
import type { EventWaiter } from '../../../../src/engine/xla/pjrt/events.js';
import { createExecutionQueue } from '../../../../src/engine/xla/pjrt/queue.js';

/** Events by number that have all happened; those above 100 with an error. */
function happened() {
  const settled: bigint[] = [];
  const events: EventWaiter = {
    wait: () => Promise.reject(new Error('nothing is to be waited for')),
    happened: () => true,
    settle(event) {
      settled.push(event);
      return event > 100n ? new Error(`event ${event}`) : undefined;
    },
  };
  return { events, settled };
}

describe('the queue of executions', () => {
  it('tells the first failure once and frees the events of all', async () => {
    const { events, settled } = happened();
    const queue = createExecutionQueue(events, () => 0);
    const finished: number[] = [];
    queue.add([1n, 101n], 'running a', () => finished.push(1));
    queue.add([102n, 2n], 'running b', () => finished.push(2));
    await expect(queue.room()).rejects.toThrow('event 101');
    expect(settled).toEqual([1n, 101n, 102n, 2n]);
    expect(finished).toEqual([1, 2]);
    await queue.room();
  });

  it('gives the event loop a turn where none is known of for 20 ms', async () => {
    const { events } = happened();
    let turns = 0;
    const queue = createExecutionQueue(events, () => turns);
    let immediates = 0;
    const count = () => {
      immediates += 1;
      immediate = setImmediate(count);
    };
    let immediate = setImmediate(count);
    const stepsFor = async (milliseconds: number, eachStep: () => void) => {
      for (const end = performance.now() + milliseconds; performance.now() < end; ) {
        eachStep();
        await queue.room();
      }
    };
    await stepsFor(50, () => {
      turns += 1;
    });
    expect(immediates).toBe(0);
    await stepsFor(50, () => undefined);
    expect(immediates).toBeGreaterThan(0);
    clearImmediate(immediate);
  });
});
