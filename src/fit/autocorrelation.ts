import { median } from '../median.js';
import { chiSquareCdf } from './distributions.js';
import { type Solution, solve } from './levenberg-marquardt.js';
import { decorrelated, type LeastSquares } from './problem.js';

/** Points at the same x would be one point: their correlation is capped. */
const MAX_CORRELATION = 0.95;
const GRID = 16;
const GOLDEN = (Math.sqrt(5) - 1) / 2;

export interface CorrelatedFit {
  /** In units of x; null when independence is best. */
  length: number | null;
  correlationAtMedianGap: number;
  /** Of independence: ½χ²₀ + ½χ²₁, since the correlation cannot be negative. */
  pValue: number;
  solution: Solution;
  /** The whitened problem. */
  problem: LeastSquares;
  /** Σ ln(1 − ρᵢ²): what whitening adds to −2 log-likelihood. */
  logDeterminant: number;
}

/** Correlation of each residual with the one before it, exp(−|Δx|/length); 0 for the first. */
export function neighbourCorrelations(x: ArrayLike<number>, length: number): Float64Array {
  return Float64Array.from({ length: x.length }, (_, i) =>
    i === 0 ? 0 : Math.min(MAX_CORRELATION, Math.exp(-(x[i]! - x[i - 1]!) / length)),
  );
}

/**
 * Fits the law together with residuals whose correlation falls exponentially with the distance in x (a first-order
 * Markov process, so whitening is exact for uneven gaps). The length is the maximum-likelihood one.
 */
export function fitCorrelated(
  problem: LeastSquares,
  x: ArrayLike<number>,
  start: ArrayLike<number>,
): CorrelatedFit {
  const n = problem.points;
  const gaps: number[] = [];
  for (let i = 1; i < n; i++) if (x[i]! > x[i - 1]!) gaps.push(x[i]! - x[i - 1]!);
  const gap = gaps.length > 0 ? median(gaps) : 1;

  const at = (length: number | null): CorrelatedFit & { deviance: number } => {
    const correlations = length === null ? new Float64Array(n) : neighbourCorrelations(x, length);
    const whitened = length === null ? problem : decorrelated(problem, correlations);
    let logDeterminant = 0;
    for (const rho of correlations) logDeterminant += Math.log1p(-rho * rho);
    const solution = solve(whitened, start, { maxIterations: 100 });
    return {
      length,
      correlationAtMedianGap: length === null ? 0 : Math.exp(-gap / length),
      pValue: 1,
      solution,
      problem: whitened,
      logDeterminant,
      deviance: n * Math.log(solution.sse / n) + logDeterminant,
    };
  };

  const independent = at(null);
  // From correlations of 0.04 at the median gap to 0.95.
  const lowest = Math.log(gap / 3.2);
  const highest = Math.log(gap / -Math.log(MAX_CORRELATION));
  let best = independent;
  let place = 0;
  const logLength = (i: number) => lowest + ((highest - lowest) * i) / (GRID - 1);
  for (let i = 0; i < GRID; i++) {
    const trial = at(Math.exp(logLength(i)));
    if (trial.deviance < best.deviance) {
      best = trial;
      place = i;
    }
  }
  if (best.length === null) return independent;
  let lo = logLength(Math.max(0, place - 1));
  let hi = logLength(Math.min(GRID - 1, place + 1));
  for (let round = 0; round < 16; round++) {
    const left = at(Math.exp(hi - GOLDEN * (hi - lo)));
    const right = at(Math.exp(lo + GOLDEN * (hi - lo)));
    const lower = left.deviance < right.deviance ? left : right;
    if (lower.deviance < best.deviance) best = lower;
    if (left.deviance < right.deviance) hi = lo + GOLDEN * (hi - lo);
    else lo = hi - GOLDEN * (hi - lo);
  }
  const ratio = Math.max(0, independent.deviance - best.deviance);
  const polished = solve(best.problem, best.solution.p, { polish: true });
  return { ...best, solution: polished, pValue: 0.5 * (1 - chiSquareCdf(ratio, 1)) };
}
