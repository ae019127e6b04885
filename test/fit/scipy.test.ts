import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  chiSquareCdf,
  fisherCdf,
  normalQuantile,
  studentCdf,
  studentQuantile,
} from '../../src/fit/distributions.js';
import { fitPoints } from '../../src/fit/fit-points.js';
import { findLaw } from '../../src/laws/index.js';

const golden = (file: string) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/fit/${file}`, import.meta.url), 'utf8'));

interface GoldenSeries {
  law: string;
  x: number[];
  y: number[];
  parameters: number[];
  standardErrors: number[];
  sse: number;
}

const { series } = golden('scipy.json') as { series: GoldenSeries[] };

describe("SciPy's optimum", () => {
  it('is there for at least thirty series', () => {
    expect(series.length).toBeGreaterThanOrEqual(30);
  });

  it.each(series.map((own, i) => [i, own.law, own] as const))('series %i, %s', (_i, law, own) => {
    const fitted = fitPoints(findLaw(law)!, Float64Array.from(own.x), Float64Array.from(own.y), {
      intervals: 'none',
    })!;
    const { solution, parameters } = fitted.estimated;
    expect(solution.converged).toBe(true);
    // SciPy stops at 1e-8 of a standard error or so; ours may only be better.
    expect(solution.sse).toBeLessThanOrEqual(own.sse * (1 + 1e-10));
    expect(solution.sse).toBeGreaterThan(own.sse * (1 - 1e-6));
    for (const [j, value] of own.parameters.entries()) {
      expect(Math.abs(solution.p[j]! - value)).toBeLessThan(2e-3 * own.standardErrors[j]!);
      const ratio = parameters[j]!.standardError! / own.standardErrors[j]!;
      expect(Math.abs(ratio - 1)).toBeLessThan(0.01);
    }
  });
});

describe('distribution functions', () => {
  const values = golden('distributions.json') as Record<string, number[][]>;
  const functions: Record<string, (...args: number[]) => number> = {
    studentQuantile: studentQuantile as (...args: number[]) => number,
    studentCdf: studentCdf as (...args: number[]) => number,
    fisherCdf: fisherCdf as (...args: number[]) => number,
    chiSquareCdf: chiSquareCdf as (...args: number[]) => number,
    normalQuantile: normalQuantile as (...args: number[]) => number,
  };

  it.each(Object.keys(functions))('%s equals SciPy', (name) => {
    for (const row of values[name]!) {
      const expected = row.at(-1)!;
      expect(Math.abs(functions[name]!(...row.slice(0, -1)) - expected)).toBeLessThan(
        1e-9 * Math.max(1, Math.abs(expected)),
      );
    }
  });
});
