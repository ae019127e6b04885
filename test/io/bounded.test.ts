import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { mapBounded } from '../../src/io/bounded.js';

it('maps in order, few at a time', async () => {
  let running = 0;
  let most = 0;
  const squares = await mapBounded(
    Array.from({ length: 1000 }, (_, i) => i),
    async (item, index) => {
      most = Math.max(most, ++running);
      await turn();
      running--;
      return item * index;
    },
  );
  expect(squares).toEqual(Array.from({ length: 1000 }, (_, i) => i * i));
  expect(most).toBe(32);
  expect(await mapBounded([], async () => 1)).toEqual([]);
});
