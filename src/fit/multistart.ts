import type { WorkingForm } from '../laws/law.js';
import { type Solution, solve } from './levenberg-marquardt.js';
import { inWorkingForm, type LeastSquares, sumOfSquares } from './problem.js';

export interface MultistartResult {
  best: Solution;
  /** How many starts were solved, and how many of those ended within 1e-6 of the smallest sum of squares. */
  tried: number;
  agreeing: number;
}

/** Two fits are the same when their sums of squares differ by less: a shift of 0.001 standard errors. */
const SAME = 1e-6;
/** A curved valley, where parameters trade against each other, is long: the last solve follows it to its end. */
const LAST_ITERATIONS = 3000;
/** Once this many starts agree and none was better for as long, the rest would agree too. */
const ENOUGH = 12;

/**
 * Solves from the given starts and keeps the smallest sum of squares. Ends early when `ENOUGH` starts agree (never
 * before a quarter of the starts, so that the quasi-random points have covered their range). Deterministic.
 */
export function multistart(
  problem: LeastSquares,
  starts: Iterable<ArrayLike<number>>,
  { total, maxIterations, working }: { total: number; maxIterations?: number; working?: WorkingForm },
): MultistartResult | null {
  if (working) return inWorking(problem, starts, total, working);
  let targetSquares = 0;
  for (const value of problem.target) targetSquares += value ** 2;
  const same = (a: number, b: number) => a <= b * (1 + SAME) + 1e-24 * targetSquares;
  let best: Solution | null = null;
  const sums: number[] = [];
  let tried = 0;
  const needed = Math.min(ENOUGH, Math.max(1, Math.ceil(total / 4)));
  for (const start of starts) {
    tried++;
    const solution = solve(problem, start, { maxIterations, polish: total === 1 });
    if (!Number.isFinite(solution.sse)) continue;
    sums.push(solution.sse);
    if (!best || solution.sse < best.sse) best = solution;
    const lowest = best.sse;
    if (tried >= total / 4 && sums.filter((sum) => same(sum, lowest)).length >= needed) break;
  }
  if (!best) return null;
  if (total === 1) return { best, tried, agreeing: 1 };
  const polished = solve(problem, best.p, { polish: true, maxIterations: LAST_ITERATIONS });
  const final = polished.sse <= best.sse * (1 + 1e-12) ? polished : best;
  return {
    best: { ...final, iterations: best.iterations + polished.iterations },
    tried,
    agreeing: sums.filter((sum) => same(sum, final.sse)).length,
  };
}

/** The `keep` starts with the smallest sum of squares, best first: where thousands of series leave no time for all. */
export function mostPromising(
  problem: LeastSquares,
  starts: Iterable<ArrayLike<number>>,
  keep: number,
): ArrayLike<number>[] {
  const rated = Array.from(starts, (start) => ({
    start,
    sse: sumOfSquares(problem, Float64Array.from(start)),
  }));
  const usable = rated.filter(({ sse }) => Number.isFinite(sse));
  return usable
    .sort((a, b) => a.sse - b.sse)
    .slice(0, keep)
    .map(({ start }) => start);
}

/** Solves in the working coordinates, then takes the best point back to the law's own. */
function inWorking(
  problem: LeastSquares,
  starts: Iterable<ArrayLike<number>>,
  total: number,
  form: WorkingForm,
): MultistartResult | null {
  const mapped = Array.from(starts, (start) => form.toWorking(start)).filter((q) => q.every(Number.isFinite));
  const found = multistart(inWorkingForm(problem, form), mapped, { total });
  if (!found) return null;
  const { best } = found;
  const own = solve(problem, form.fromWorking(best.p), { polish: true });
  // A stationary point is one in all coordinates: the working ones see it where the law's own are nearly dependent.
  return { ...found, best: { ...own, converged: own.converged || best.converged, atBound: best.atBound } };
}
