import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { limitOf, xWithin } from '../../src/fit/convergence.js';
import { readCsv } from '../../src/io/csv.js';
import { findLaw, LAWS } from '../../src/laws/index.js';

/** One ordinary parameter vector and a few x for each law. */
const CASES: Record<string, { p: number[]; x: number[] }> = {
  'logspace-power': { p: [0.45, -3.05, 0.29, 0.067], x: [0.8, 5, 80] },
  'convergent-power': { p: [0.48, 0.1, 0.41], x: [0.8, 5, 80] },
  'offset-power': { p: [0.28, 0.05, 0.054], x: [0.8, 5, 80] },
  'offset-exponential': { p: [0.03, -0.07, 0.39], x: [0.8, 5, 80] },
  log: { p: [0.1, -0.007, 0.3], x: [0.8, 5, 80] },
  sigmoid: { p: [0.39, 0.05, 2.6], x: [0.8, 5, 80] },
  constant: { p: [0.3], x: [1] },
  linear: { p: [0.3, -0.01], x: [0.8, 5, 80] },
  'piecewise-linear': { p: [0.002, 40, 0.3], x: [0.8, 39, 41, 80] },
  power: { p: [-0.1, 0.1], x: [0.8, 5, 80] },
};

/** Central difference of f at v with a step that balances rounding and curvature. */
function difference(f: (v: number) => number, v: number): number {
  const h = 1e-5 * Math.max(1e-3, Math.abs(v));
  return (f(v + h) - f(v - h)) / (2 * h);
}

describe('every law', () => {
  it('has a case here', () => {
    expect(Object.keys(CASES)).toEqual(LAWS.map((law) => law.id));
  });

  it.each(LAWS.map((law) => [law.id, law] as const))(
    '%s: gradient and slope equal finite differences',
    (id, law) => {
      const { p, x } = CASES[id]!;
      const gradient = new Float64Array(p.length);
      for (const at of x) {
        law.gradient(at, p, gradient);
        for (let j = 0; j < p.length; j++) {
          const numeric = difference((value) => law.value(at, p.with(j, value)), p[j]!);
          expect(Math.abs(gradient[j]! - numeric)).toBeLessThan(1e-7 * Math.max(1, Math.abs(numeric)));
        }
        const slope = difference((value) => law.value(value, p), at);
        expect(Math.abs(law.slope(at, p) - slope)).toBeLessThan(1e-7 * Math.max(1, Math.abs(slope)));
      }
    },
  );

  it.each(LAWS.map((law) => [law.id, law] as const))('%s: approaches its limit', (id, law) => {
    if (!law.limit) return;
    const { p } = CASES[id]!;
    expect(law.value(1e12, p)).toBeCloseTo(limitOf(law, p)!, 3);
  });
});

type Row = Record<string, string>;

async function rows(file: string): Promise<Row[]> {
  return (await readCsv(fileURLToPath(new URL(`../../fixtures/sparsing-law/${file}`, import.meta.url)))).rows;
}

const published = (await rows('paper_table2_coefficients.csv')).filter((row) =>
  row.source!.startsWith('ICML'),
);
const coefficients = (row: Row) =>
  row.activation === 'relu'
    ? ([findLaw('logspace-power')!, [row.alpha, row.b, row.c, row.A0].map(Number)] as const)
    : ([findLaw('convergent-power')!, [row.alpha, row.c, row.A0].map(Number)] as const);

describe('the published curves', () => {
  // A(D) at D = 1, 10, 50, 100, 300, 1000 billion tokens, to the five digits of the specification.
  const golden: Record<string, number[]> = {
    '0.1B relu': [0.10155, 0.07877, 0.06992, 0.06744, 0.06472, 0.06299],
    '0.2B relu': [0.10298, 0.08859, 0.07644, 0.07234, 0.06857, 0.06748],
    '0.4B relu': [0.09804, 0.09048, 0.07902, 0.07402, 0.06965, 0.069],
    '0.8B relu': [0.10236, 0.10021, 0.09225, 0.08534, 0.07453, 0.07211],
    '1.2B relu': [0.09863, 0.09825, 0.09555, 0.09173, 0.08165, 0.0782],
    '2.4B relu': [0.09622, 0.09606, 0.09434, 0.09108, 0.07681, 0.06487],
    '0.1B silu': [0.307, 0.37515, 0.39334, 0.39776, 0.40236, 0.40527],
    '0.2B silu': [0.182, 0.36021, 0.38234, 0.38573, 0.38831, 0.38939],
    '0.4B silu': [-0.035, 0.3458, 0.37753, 0.38134, 0.38382, 0.38466],
    '0.8B silu': [-0.179, 0.32615, 0.37154, 0.37725, 0.38107, 0.38242],
    '1.2B silu': [-0.156, 0.32395, 0.36976, 0.37574, 0.37984, 0.38132],
  };

  it.each(published.map((row) => [`${row.scale} ${row.activation}`, row] as const))('%s', (name, row) => {
    const [law, p] = coefficients(row);
    const values = [1, 10, 50, 100, 300, 1000].map((D) => law.value(D, p));
    for (const [i, value] of values.entries()) expect(Math.abs(value - golden[name]![i]!)).toBeLessThan(6e-6);
  });

  // Tokens (in billions) to within 5 % of the limit, from the published coefficients.
  it('come within 5 % of their limit where the specification says', () => {
    const within = published.map((row) => {
      const [law, p] = coefficients(row);
      return xWithin(law, p, 0.05)!;
    });
    const expected = [343, 142, 131, 254, 284, 526, 28.6, 16.5, 19.9, 29.9, 31.6];
    for (const [i, value] of within.entries()) expect(Math.abs(value / expected[i]! - 1)).toBeLessThan(0.01);
  });

  it('have the derivatives of Fig. 8', async () => {
    for (const row of await rows('fig8_derivatives_from_table2.csv')) {
      const own = published.find((p) => p.scale === row.scale && p.activation === row.activation)!;
      const [law, p] = coefficients(own);
      // The sparsity ratio is 1 − A.
      const slope = -law.slope(Number(row.tokens_B), p);
      expect(Math.abs(slope / Number(row.dS_dD_per_B) - 1)).toBeLessThan(1e-4);
    }
  });
});
