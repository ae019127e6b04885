import { describe, expect, it } from 'vitest';
import type { Session } from '../../src/sparsity/evaluate.js';
import { outputNormRule } from '../../src/sparsity/rules.js';
import { estimateMean, stagedPasses } from '../../src/sparsity/staged-pass.js';
import type { Windows } from '../../src/sparsity/windows.js';
import { generator } from './reference.js';

/** A session whose masked pass tells each window's first id, and counts the windows it was asked for. */
function counting(batchWindows: number) {
  const asked: number[] = [];
  const session = {
    batchWindows,
    async masked(_rule: unknown, windows: Windows, thresholds: readonly number[]) {
      asked.push(windows.count);
      const first = Float64Array.from({ length: windows.count }, (_, w) => windows.ids[2 * w]!);
      return { loss: first, active: thresholds.map(() => first) };
    },
  } as unknown as Session;
  return { session, asked };
}

const numbered = (count: number): Windows => ({
  seqLen: 1,
  count,
  ids: Int32Array.from({ length: 2 * count }, (_, i) => Math.floor(i / 2)),
});

describe('stagedPasses', () => {
  it('stops when enough is seen, and goes on where it stopped', async () => {
    const { session, asked } = counting(16);
    const passes = stagedPasses(session, numbered(1000));
    const few = await passes.until(outputNormRule, [1], () => true);
    expect(asked).toEqual([128]);
    expect(few.rows.map((row) => few.loss[row])).toEqual(few.rows);
    expect((await passes.until(outputNormRule, [1], ({ rows }) => rows.length >= 200)).rows.length).toBe(256);
    const whole = await passes.whole(outputNormRule, [1]);
    expect(asked).toEqual([128, 128, 256, 488]);
    expect([...whole.loss]).toEqual(Array.from({ length: 1000 }, (_, w) => w));
    expect(whole.active[0]).toEqual(whole.loss);
    await passes.whole(outputNormRule, [1]);
    await passes.whole(outputNormRule, [2]);
    expect(asked.slice(4)).toEqual([1000]);
  });

  it('never judges a few windows by their spread', async () => {
    const { session, asked } = counting(8);
    const passes = stagedPasses(session, numbered(60));
    expect((await passes.until(outputNormRule, [1], () => true)).isWhole).toBe(true);
    expect(asked).toEqual([60]);
  });
});

describe('estimateMean', () => {
  it('has the error it claims, whatever the tails of the differences', () => {
    const random = generator(4);
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const [all, n, trials] = [512, 64, 600];
    for (const { tail, most } of [
      { tail: normal, most: 0.002 },
      // The price of a long tail on the fewest windows that are judged.
      { tail: () => Math.exp(normal()), most: 0.03 },
    ]) {
      const control = Array.from({ length: all }, () => 3 + normal());
      const values = control.map((value) => value + 0.01 + 0.02 * tail());
      const truth = values.reduce((a, b) => a + b, 0) / all;
      let [squares, claimed, beyond] = [0, 0, 0];
      for (let trial = 0; trial < trials; trial++) {
        const rows = Array.from({ length: all }, (_, i) => i)
          .map((row) => ({ row, key: random() }))
          .sort((a, b) => a.key - b.key)
          .slice(0, n)
          .map(({ row }) => row);
        const { mean, standardError } = estimateMean(values, control, rows);
        squares += (mean - truth) ** 2 / trials;
        claimed += standardError ** 2 / trials;
        if (Math.abs(mean - truth) > 4 * standardError) beyond++;
      }
      expect(claimed / squares).toBeGreaterThan(0.85);
      expect(claimed / squares).toBeLessThan(1.15);
      expect(beyond / trials).toBeLessThan(most);
    }
  });

  it('is exact once every window is seen', () => {
    const values = [1, 5, 2];
    const { mean, standardError } = estimateMean(values, [9, 9, 9], [2, 0, 1]);
    expect(mean).toBeCloseTo(8 / 3, 12);
    expect(standardError).toBe(0);
  });
});
