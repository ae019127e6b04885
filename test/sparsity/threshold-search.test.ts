import { describe, expect, it } from 'vitest';
import type { Session } from '../../src/sparsity/evaluate.js';
import { calibrate, THRESHOLD_TOLERANCE } from '../../src/sparsity/threshold-search.js';

const [FF, SMALLEST, LARGEST] = [1024, 1e-9, 30];

/** A session of one layer with a known CETT(ε); counts its scanning passes. */
function known(cett: (threshold: number) => number, most: (threshold: number) => number) {
  const spent = { passes: 0, thresholds: 0 };
  const session = {
    model: { layers: 1, ff: FF },
    range: async () => ({ smallest: [SMALLEST], largest: [LARGEST], inverseNorm: [1 / 22] }),
    scan: async (_: unknown, [thresholds]: number[][]) => {
      spent.passes++;
      spent.thresholds += thresholds!.length;
      return { cett: [thresholds!.map(cett)], most: [thresholds!.map(most)] };
    },
  } as unknown as Session;
  return { session, spent };
}
const windows = { seqLen: 1, count: 1, ids: new Int32Array(2) };

/** CETT of half-normal output norms of unit scale, half of them active, and the sum of what is dropped. */
const smooth = (e: number) => Math.sqrt(1 - (1 + e ** 3 / 6) ** -1);
const sums = (e: number) => Math.min(5.8 * e * e, 17);

describe('calibrate', () => {
  it('finds the largest threshold within a bound in few passes', async () => {
    const { session, spent } = known(smooth, sums);
    const { exact, approximate } = await calibrate(session, windows, 1 / 256);
    for (let i = 1; i <= 16; i++) {
      const bound = (i / 16) ** 2;
      const [near] = await approximate(bound);
      if (i < 16) expect(Math.abs(smooth(near!) / bound - 1)).toBeLessThan(2e-3);
    }
    const looks = spent.passes;
    expect(looks).toBeLessThanOrEqual(3);
    for (const bound of [0.0635, 0.064, 0.0641, 0.0638]) {
      const { thresholds } = await exact(bound);
      const root = (6 * ((1 - bound ** 2) ** -1 - 1)) ** (1 / 3);
      expect(thresholds[0]! / root).toBeLessThanOrEqual(1 + 1e-6);
      expect(thresholds[0]! / root).toBeGreaterThan(1 - 1.1 * THRESHOLD_TOLERANCE);
    }
    expect(spent.passes - looks).toBeLessThanOrEqual(6);
  });

  it('sees a bump below the threshold at which the curve passes the bound for good', async () => {
    for (const at of [0.24, 0.247, 0.253, 0.26]) {
      // 9 % wide in ε, and no higher than what is dropped there can make it.
      const bump = (e: number) => smooth(e) + (Math.abs(Math.log(e / at)) < 0.045 ? 0.03 : 0);
      const { session } = known(bump, sums);
      const { exact } = await calibrate(session, windows, 1 / 256);
      const { thresholds } = await exact(0.0635);
      expect(thresholds[0]! / at).toBeLessThan(1);
      expect(thresholds[0]! / at).toBeGreaterThan(Math.exp(-0.045) - 2e-4);
    }
  });

  it('scans nothing that cannot break the bound', async () => {
    // Few neurons: together they stay below the bound up to ε = 1.
    const { session, spent } = known(
      (e) => Math.min(1, 0.02 * e * e),
      (e) => 0.05 * e,
    );
    const { exact } = await calibrate(session, windows, 1 / 256);
    await exact(0.06);
    expect(spent.passes).toBeLessThanOrEqual(5);
  });

  it('answers bounds smaller than those it was made for', async () => {
    const { session } = known(smooth, sums);
    const { exact } = await calibrate(session, windows, 1 / 256);
    const root = (6 * ((1 - 1e-4 ** 2) ** -1 - 1)) ** (1 / 3);
    const { thresholds, cett } = await exact(1e-4);
    expect(cett[0]).toBeLessThanOrEqual(1e-4);
    expect(thresholds[0]! / root).toBeGreaterThan(1 - 1.1 * THRESHOLD_TOLERANCE);
  });
});
