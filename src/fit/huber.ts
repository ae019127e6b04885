import { median } from '../median.js';
import { type Solution, solve } from './levenberg-marquardt.js';
import { type LeastSquares, weighted } from './problem.js';

/** Huber's constant: 95 % efficient for normal residuals. */
const THRESHOLD = 1.345;
/** The median absolute deviation of a normal sample is this share of its standard deviation. */
const MAD_SHARE = 0.6744897501960817;
const MAX_ROUNDS = 50;

export interface RobustFit {
  solution: Solution;
  /** The weighted least-squares problem whose solution this is. */
  problem: LeastSquares;
  /** σ² that makes σ²(JᵀJ)⁻¹ of `problem` Huber's asymptotic covariance (up to the weights in J). */
  variance: number;
}

/**
 * Huber's M-estimate by iteratively reweighted least squares: residuals beyond 1.345 robust standard deviations count
 * linearly. The scale is the median absolute deviation of the current residuals.
 */
export function fitHuber(problem: LeastSquares, start: ArrayLike<number>): RobustFit | null {
  const n = problem.points;
  const k = problem.parameters.length;
  let solution = solve(problem, start);
  let current = problem;
  const values = new Float64Array(n);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (!Number.isFinite(solution.sse)) return null;
    problem.values(solution.p, values);
    const residuals = values.map((value, i) => problem.target[i]! - value);
    const scale = median(residuals.map(Math.abs)) / MAD_SHARE;
    if (!(scale > 0)) break;
    const sigma = residuals.map((r) => Math.sqrt(Math.max(1, Math.abs(r) / (THRESHOLD * scale))));
    current = weighted(problem, sigma);
    const next = solve(current, solution.p, { polish: true });
    const moved = next.p.reduce(
      (most, value, j) => Math.max(most, Math.abs(value - solution.p[j]!) / (Math.abs(value) + 1e-12)),
      0,
    );
    solution = next;
    if (moved < 1e-8) break;
  }
  problem.values(solution.p, values);
  const residuals = values.map((value, i) => problem.target[i]! - value);
  const scale = median(residuals.map(Math.abs)) / MAD_SHARE;
  let psiSquares = 0;
  let inside = 0;
  for (const r of residuals) {
    psiSquares += Math.min(Math.abs(r), THRESHOLD * scale) ** 2;
    if (Math.abs(r) <= THRESHOLD * scale) inside++;
  }
  const share = inside / n;
  const variance = share > 0 ? psiSquares / (n - k) / share : Number.NaN;
  return { solution, problem: current, variance };
}
