import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batch, permutation, windowCount, windows } from '../../src/corpus/batches.js';
import { tokensInMemory } from '../../src/corpus/tokens.js';

const counting = (length: number) =>
  tokensInMemory(
    Int32Array.from({ length }, (_, i) => i),
    { name: 'counting', vocabSize: length, bytes: length, documents: 1 },
  );

describe('batch', () => {
  const options = { seed: 7, batchSize: 4, seqLen: 10 };

  it('holds rows of consecutive ids', () => {
    for (const order of ['epochs', 'random'] as const) {
      const ids = batch(counting(1003), { ...options, step: 3, order });
      expect(ids).toHaveLength(44);
      for (let row = 0; row < 4; row++) {
        const first = ids[row * 11]!;
        const expected = Array.from({ length: 11 }, (_, i) => first + i);
        expect(Array.from(ids.subarray(row * 11, row * 11 + 11))).toEqual(expected);
      }
    }
  });

  it('shows every window once an epoch, in another order in the next, across batch borders', () => {
    const source = counting(1003);
    const starts: number[] = [];
    for (let step = 0; step < 75; step++) {
      const ids = batch(source, { ...options, step });
      for (let row = 0; row < 4; row++) starts.push(ids[row * 11]!);
    }
    const all = Array.from({ length: 100 }, (_, i) => 10 * i);
    const epochs = [starts.slice(0, 100), starts.slice(100, 200), starts.slice(200, 300)];
    for (const epoch of epochs) expect(epoch.toSorted((a, b) => a - b)).toEqual(all);
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect(epochs[1]).not.toEqual(epochs[2]);
    expect(epochs[0]).not.toEqual(all);
  });

  it('draws random offsets over the whole source, the last one too', () => {
    const source = counting(14);
    const starts = new Set<number>();
    for (let step = 0; step < 50; step++) {
      starts.add(batch(source, { ...options, step, batchSize: 1, order: 'random' })[0]!);
    }
    expect([...starts].sort()).toEqual([0, 1, 2, 3]);
  });

  it('is a function of seed and step alone', () => {
    const source = counting(5000);
    const later = batch(source, { ...options, step: 1000 });
    for (let step = 0; step < 5; step++) batch(source, { ...options, step });
    expect(batch(source, { ...options, step: 1000 })).toEqual(later);
    expect(batch(source, { ...options, step: 1001 })).not.toEqual(later);
    expect(batch(source, { ...options, seed: 8, step: 1000 })).not.toEqual(later);
  });

  it('is the batch that was recorded when this was written', () => {
    const digest = (order: 'epochs' | 'random') =>
      createHash('sha256')
        .update(new Uint8Array(batch(counting(5000), { ...options, step: 1000, order }).buffer))
        .digest('hex')
        .slice(0, 16);
    expect([digest('epochs'), digest('random')]).toMatchInlineSnapshot(`
      [
        "f8db5f0c5b4b3d4d",
        "4d2f3e3fdcfdb704",
      ]
    `);
  });

  it('needs a window of text', () => {
    expect(() => batch(counting(10), { ...options, step: 0 })).toThrow(
      /counting: 10 tokens are fewer than one window of 11/,
    );
    expect(windowCount(counting(11), 10)).toBe(1);
  });
});

describe('permutation', () => {
  it('maps 0 … n − 1 onto itself, for any n and key', () => {
    const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 700 }), word, word, (count, key0, key1) => {
        const permute = permutation(count, [key0, key1]);
        const values = Array.from({ length: count }, (_, i) => permute(i));
        expect(values.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
      }),
      { numRuns: 200 },
    );
  });

  it('puts every value in every place about equally often', () => {
    // 3,000 permutations of 6: each of 36 cells expects 500, standard deviation 20.4.
    const seen = Array.from({ length: 6 }, () => new Array<number>(6).fill(0));
    for (let key = 0; key < 3000; key++) {
      const permute = permutation(6, [key, 99]);
      for (let i = 0; i < 6; i++) seen[i]![permute(i)]!++;
    }
    for (const cell of seen.flat()) expect(Math.abs(cell - 500)).toBeLessThan(5 * 20.4);
  });

  it('reaches beyond 2^32', () => {
    const permute = permutation(2 ** 40, [1, 2]);
    const values = Array.from({ length: 1000 }, (_, i) => permute(i));
    expect(new Set(values).size).toBe(1000);
    expect(Math.max(...values)).toBeGreaterThan(2 ** 39);
    expect(values.every((value) => Number.isInteger(value) && value >= 0 && value < 2 ** 40)).toBe(true);
  });
});

describe('windows', () => {
  it('predict every id but the first once; the last partial one is dropped', () => {
    const { count, read } = windows(counting(35), { seqLen: 10 });
    expect(count).toBe(3);
    const rows = read(0, 3);
    const targets = [0, 1, 2].flatMap((row) => Array.from(rows.subarray(row * 11 + 1, row * 11 + 11)));
    expect(targets).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(windows(counting(31), { seqLen: 10 }).count).toBe(3);
    expect(windows(counting(30), { seqLen: 10 }).count).toBe(2);
    expect(() => windows(counting(10), { seqLen: 10 })).toThrow(/fewer than one window/);
  });

  it('can be counted, read in parts and walked', () => {
    const some = windows(counting(1000), { seqLen: 10, count: 5 });
    expect(some.count).toBe(5);
    expect([...some].map((row) => row[0])).toEqual([0, 10, 20, 30, 40]);
    expect(some.read(3, 2)).toEqual(Int32Array.from([...some].slice(3).flatMap((row) => [...row])));
    expect(some.read(5, 0)).toEqual(new Int32Array());
    expect(() => some.read(4, 2)).toThrow(RangeError);
  });
});
