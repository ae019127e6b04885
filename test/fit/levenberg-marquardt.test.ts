import { levenbergMarquardt } from 'ml-levenberg-marquardt';
import { describe, expect, it } from 'vitest';
import { solve } from '../../src/fit/levenberg-marquardt.js';
import { lawProblem, weighted } from '../../src/fit/problem.js';
import { findLaw } from '../../src/laws/index.js';

const law = findLaw('logspace-power')!;
const truth = [0.5, -3, 0.3, 0.07];
const x = Float64Array.from({ length: 30 }, (_, i) => 0.8 * 1.2 ** i);
const y = x.map((value, i) => law.value(value, truth) + 2e-4 * Math.sin(7 * i));
const start = [0.8, -2.5, 0.2, 0.05];

/** The library as a user would call it, on the row index, with an analytic Jacobian. */
function library(options: { weights?: number; errorTolerance?: number; maxIterations?: number }) {
  const row = new Float64Array(4);
  return levenbergMarquardt(
    { x: Array.from(x, (_, i) => i), y: Array.from(y) },
    (p) => (i) => law.value(x[i]!, p),
    {
      initialValues: start,
      errorTolerance: 0,
      maxIterations: 300,
      jacobianFunction: (p) => (i) => {
        law.gradient(x[i]!, p, row);
        return Array.from(row);
      },
      ...options,
    },
  );
}

describe('the traps of ml-levenberg-marquardt 5.1.0', () => {
  // If one of these fails, the library changed: read src/fit/levenberg-marquardt.ts again before upgrading.
  it('a uniform weight changes the answer', () => {
    const plain = library({}).parameterError;
    const sums = [2, 10, 100].map((weights) => {
      try {
        const { parameterValues } = library({ weights });
        return x.reduce((sum, value, i) => sum + (y[i]! - law.value(value, parameterValues)) ** 2, 0);
      } catch {
        return Infinity;
      }
    });
    expect(Math.max(...sums)).toBeGreaterThan(1.5 * plain);
  });

  it('it calls a small sum of squares converged without an iteration', () => {
    const scaled = levenbergMarquardt(
      { x: [1, 2, 3, 4], y: [1e-5, 2e-5, 3e-5, 5e-5] },
      ([s]) =>
        (v) =>
          s! * v,
      {
        initialValues: [0],
      },
    );
    expect(scaled.iterations).toBe(0);
  });

  it('it never says that it has converged', () => {
    expect(Object.keys(library({})).sort()).toEqual(['iterations', 'parameterError', 'parameterValues']);
    expect(library({}).iterations).toBe(300);
  });
});

describe('solve', () => {
  const problem = lawProblem(law, x, y);
  const best = solve(problem, start, { polish: true });

  it('converges by its own verdict, in few iterations', () => {
    expect(best.converged).toBe(true);
    expect(best.cosine).toBeLessThan(1e-9);
    expect(best.iterations).toBeLessThan(100);
  });

  it('does not depend on a uniform standard deviation', () => {
    for (const sigma of [1e-6, 0.5, 1e4]) {
      const other = solve(weighted(problem, new Float64Array(30).fill(sigma)), start, { polish: true });
      for (const [j, value] of best.p.entries()) expect(Math.abs(other.p[j]! / value - 1)).toBeLessThan(1e-6);
    }
  });

  it('does not depend on the unit of x', () => {
    const raw = solve(
      lawProblem(
        law,
        x.map((value) => value * 1e9),
        y,
      ),
      [start[0]!, start[1]!, start[2]! / 1e9 ** start[0]!, start[3]!],
      { polish: true },
    );
    expect(raw.converged).toBe(true);
    expect(Math.abs(raw.p[3]! / best.p[3]! - 1)).toBeLessThan(1e-6);
    expect(Math.abs(raw.sse / best.sse - 1)).toBeLessThan(1e-9);
  });

  it('names parameters at a bound and fits the others', () => {
    // A straight fall to far below 0: the best limit is the bound.
    const falling = x.map((value) => 0.5 - 0.001 * value);
    const solution = solve(lawProblem(findLaw('offset-power')!, x, falling), [0.3, 0.4, 0.1]);
    expect(solution.atBound).toEqual([false, false, true]);
    expect(solution.p[2]).toBe(0);
    expect(solution.converged).toBe(true);
  });

  it('says that it did not converge', () => {
    expect(solve(problem, start, { maxIterations: 2 }).converged).toBe(false);
  });

  it('holds fixed parameters', () => {
    const solution = solve(problem, start, { fixed: [false, false, false, true] });
    expect(solution.p[3]).toBe(start[3]);
    expect(solution.sse).toBeGreaterThan(best.sse);
  });
});
