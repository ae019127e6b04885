import { describe, expect, it } from 'vitest';
import type { PluginApi } from '../../../../src/engine/xla/pjrt/api.js';
import { createSpentList } from '../../../../src/engine/xla/pjrt/spent.js';

/** A plugin's function that notes the addresses it is called for, when it is told to. */
function noting() {
  const calls: { addresses: number[]; end: () => void }[] = [];
  const call = {
    words: BigUint64Array.of(24n, 0n, 0n),
    word: () => 2,
    startEach(structs: BigUint64Array, count: number, done: () => void) {
      const addresses: number[] = [];
      for (let i = 0; i < count; i++) {
        expect(structs[3 * i]).toBe(24n);
        addresses.push(Number(structs[3 * i + 2]));
      }
      calls.push({ addresses, end: done });
    },
  };
  return { calls, list: createSpentList({ prepare: () => call } as unknown as PluginApi) };
}

const from = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);
const addresses = (first: number, count: number) => BigUint64Array.from(from(first, count), BigInt);

describe('buffers that executions consumed', () => {
  it('are freed oldest first, many with one call, and none before its execution is over', () => {
    const { calls, list } = noting();
    for (let step = 0; step < 5; step++) list.add(addresses(1000 * step, 500), 0, 500);
    list.free(500, false);
    list.free(500, false);
    expect(calls).toEqual([]);
    list.free(500, false);
    expect(calls.map((call) => call.addresses)).toEqual([
      [...from(0, 500), ...from(1000, 500), ...from(2000, 500)],
    ]);
  });

  it('take their turn when others are being freed, more than there was room for', async () => {
    const { calls, list } = noting();
    list.add(addresses(0, 2000), 0, 2000);
    list.free(2000, false);
    list.add(addresses(7, 6000), 1000, 5000);
    list.free(5000, false);
    expect(calls.length).toBe(1);
    calls[0]!.end();
    expect(calls[1]!.addresses).toEqual(from(1007, 5000));
    let isFreed = false;
    const freed = list.freed().then(() => {
      isFreed = true;
    });
    await Promise.resolve();
    expect(isFreed).toBe(false);
    calls[1]!.end();
    await freed;
  });

  it('are freed at once where they hold memory, and all at the end', async () => {
    const { calls, list } = noting();
    list.add(addresses(1, 3), 0, 3);
    list.free(1, true);
    list.free(1, true);
    expect(calls.map((call) => call.addresses)).toEqual([[1]]);
    calls[0]!.end();
    expect(calls[1]!.addresses).toEqual([2]);
    calls[1]!.end();
    list.free(1, false);
    expect(calls.length).toBe(2);
    const freed = list.freed();
    expect(calls[2]!.addresses).toEqual([3]);
    calls[2]!.end();
    await freed;
  });
});
