import { fromInternal, internalBounds, toInternal } from './coordinates.js';
import { type Solution, solve } from './levenberg-marquardt.js';
import type { LeastSquares } from './problem.js';

export interface ProfileSide {
  /** Where the profile reaches the critical value, or the bound or limit of the search before that. */
  value: number;
  /** `crossed`: reached. `bound`: the parameter's bound lies inside the interval. `open`: it never rose enough. */
  end: 'crossed' | 'bound' | 'open';
}

export interface Profile {
  low: ProfileSide;
  high: ProfileSide;
  /** A better optimum that the profile came across; the fit was not the global one. */
  better: Solution | null;
}

export interface ProfileOptions {
  /** σ² that the increase of the sum of squares is measured in. */
  variance: number;
  /** The interval ends where √(ΔSSE/σ²) reaches this: a quantile of Student's t. */
  critical: number;
  /** Standard error of the parameter, for the first step; null when there is none. */
  standardError: number | null;
}

/** How close √(ΔSSE/σ²) must come to the critical value: 0.2 % of it moves an end by 0.2 % of the half-width. */
const PRECISION = 2e-3;
/** The search gives up where a logarithm has moved by a factor of a million, or a step has grown as much. */
const LOG_EXTENT = Math.log(1e6);
const MAX_EXPANSIONS = 20;
const MAX_REFINEMENTS = 20;
/** A lower sum of squares by this share is another optimum, not rounding. */
const BETTER = 1e-6;

/**
 * Likelihood-ratio interval of parameter j: all values at which the best fit of the other parameters costs less than
 * critical²·σ² of the sum of squares.
 */
export function profile(problem: LeastSquares, best: Solution, j: number, options: ProfileOptions): Profile {
  let better: Solution | null = null;
  const side = (direction: -1 | 1) =>
    profileSide(problem, best, j, direction, options, (found) => {
      if (!better || found.sse < better.sse) better = found;
    });
  const low = side(-1);
  const high = side(1);
  return { low, high, better };
}

function profileSide(
  problem: LeastSquares,
  best: Solution,
  j: number,
  direction: -1 | 1,
  { variance, critical, standardError }: ProfileOptions,
  onBetter: (solution: Solution) => void,
): ProfileSide {
  const parameter = problem.parameters[j]!;
  const isLog = parameter.transform === 'log';
  const origin = toInternal(parameter, best.p[j]!);
  const bound = internalBounds(parameter)[direction < 0 ? 0 : 1];
  if ((bound - origin) * direction <= 0) return { value: best.p[j]!, end: 'bound' };
  const fixed = problem.parameters.map((_, index) => index === j);
  let warm = best.p;
  let foundBetter = false;

  /** √(ΔSSE/σ²) with parameter j at u; continues from the last point solved. */
  const distance = (u: number): number => {
    const start = Float64Array.from(warm);
    start[j] = fromInternal(parameter, u);
    let solution = solve(problem, start, { fixed, maxIterations: 60 });
    if (!Number.isFinite(solution.sse)) return Infinity;
    if (!solution.converged && warm !== best.p) {
      const again = Float64Array.from(best.p);
      again[j] = start[j]!;
      const second = solve(problem, again, { fixed, maxIterations: 60 });
      if (second.sse < solution.sse) solution = second;
    }
    warm = solution.p;
    if (solution.sse < best.sse * (1 - BETTER)) {
      foundBetter = true;
      onBetter(solution);
    }
    return Math.sqrt(Math.max(0, solution.sse - best.sse) / variance);
  };

  const unit = isLog ? 1 : Math.max(Math.abs(best.p[j]!), 1e-12);
  let step = standardError === null ? 0.1 * unit : standardError / (isLog ? best.p[j]! : 1);
  if (!(step > 1e-10 * unit)) step = 1e-6 * unit;
  step = Math.min(step * critical, isLog ? 2 : Infinity);
  const smallest = step;

  let inside = origin;
  let insideDistance = 0;
  let outside = Number.NaN;
  let outsideDistance = Number.NaN;
  for (let expansion = 0; ; expansion++) {
    let u = inside + direction * step;
    const limited = (bound - u) * direction <= 0;
    if (limited) u = bound;
    const d = distance(u);
    if (foundBetter) return { value: fromInternal(parameter, u), end: 'open' };
    if (d >= critical) {
      outside = u;
      outsideDistance = d;
      break;
    }
    inside = u;
    insideDistance = d;
    if (limited) return { value: fromInternal(parameter, bound), end: 'bound' };
    const travelled = Math.abs(u - origin);
    if (expansion >= MAX_EXPANSIONS || (isLog && travelled > LOG_EXTENT) || travelled > 1e7 * smallest) {
      return { value: fromInternal(parameter, u), end: 'open' };
    }
    // √ΔSSE is nearly linear in u near the optimum: aim a little past where it would cross.
    const aim = d > 0 ? (1.05 * travelled * (critical - d)) / d : Infinity;
    step = Math.min(Math.max(aim, 0.2 * step), 2 * travelled);
  }
  for (let round = 0; round < MAX_REFINEMENTS; round++) {
    if (Math.abs(outsideDistance - critical) <= PRECISION * critical) break;
    const share = Number.isFinite(outsideDistance)
      ? (critical - insideDistance) / (outsideDistance - insideDistance)
      : 0.5;
    // Interpolate, but never closer to an end than 5 %: a flat side would make it creep.
    const u = inside + Math.min(Math.max(share, 0.05), 0.95) * (outside - inside);
    const d = distance(u);
    if (foundBetter) return { value: fromInternal(parameter, u), end: 'open' };
    if (d >= critical) {
      outside = u;
      outsideDistance = d;
    } else {
      inside = u;
      insideDistance = d;
      if (critical - d <= PRECISION * critical) return { value: fromInternal(parameter, u), end: 'crossed' };
    }
    if (Math.abs(outside - inside) <= 1e-9 * Math.max(Math.abs(outside), unit)) break;
  }
  return { value: fromInternal(parameter, outside), end: 'crossed' };
}
