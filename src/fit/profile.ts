import { fromInternal, internalBounds, toInternal } from './coordinates.js';
import { type Solution, solve } from './levenberg-marquardt.js';
import { type LeastSquares, sumOfSquares } from './problem.js';

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
  /** The constrained optima inside the interval, from low to high, the optimum itself among them. */
  path: Float64Array[];
}

export interface ProfileOptions {
  /** σ² that the increase of the sum of squares is measured in. */
  variance: number;
  /** The interval ends where √(ΔSSE/σ²) reaches this: a quantile of Student's t. */
  critical: number;
  /** (JᵀJ)⁻¹ at the optimum, row-major; null when it is singular. Gives the first step and its direction. */
  unscaled: Float64Array | null;
  /**
   * Points of other parameters' paths. Where parameters trade against each other along a bent valley, they show where
   * it runs, and a solve may start from between them.
   */
  trail?: readonly Float64Array[];
}

/** How close √(ΔSSE/σ²) must come to the critical value: 0.2 % of it moves an end by 0.2 % of the half-width. */
const PRECISION = 2e-3;
/** The search gives up where a logarithm has moved by a factor of a million, or a step has grown as much. */
const LOG_EXTENT = Math.log(1e6);
const MAX_EXPANSIONS = 20;
const MAX_REFINEMENTS = 30;
/** A lower sum of squares by this share is another optimum, not rounding. */
const BETTER = 1e-6;

/**
 * Likelihood-ratio interval of parameter j: all values at which the best fit of the other parameters costs less than
 * critical²·σ² of the sum of squares.
 */
export function profile(problem: LeastSquares, best: Solution, j: number, options: ProfileOptions): Profile {
  let better: Solution | null = null;
  const path = [best.p];
  const side = (direction: -1 | 1) =>
    profileSide(problem, best, j, direction, options, {
      onBetter(found) {
        if (!better || found.sse < better.sse) better = found;
      },
      onInside(p) {
        path.push(p);
      },
    });
  const low = side(-1);
  const high = side(1);
  path.sort((a, b) => a[j]! - b[j]!);
  return { low, high, better, path };
}

interface Findings {
  onBetter(solution: Solution): void;
  /** A constrained optimum inside the interval. */
  onInside(p: Float64Array): void;
}

function profileSide(
  problem: LeastSquares,
  best: Solution,
  j: number,
  direction: -1 | 1,
  { variance, critical, unscaled, trail = [] }: ProfileOptions,
  { onBetter, onInside }: Findings,
): ProfileSide {
  const parameter = problem.parameters[j]!;
  const isLog = parameter.transform === 'log';
  const origin = toInternal(parameter, best.p[j]!);
  const bound = internalBounds(parameter)[direction < 0 ? 0 : 1];
  if ((bound - origin) * direction <= 0) return { value: best.p[j]!, end: 'bound' };
  const fixed = problem.parameters.map((_, index) => index === j);
  const internal = (p: ArrayLike<number>) => problem.parameters.map((item, i) => toInternal(item, p[i]!));
  // The path of the constrained optima: the last point on it inside the interval, and a direction per unit of u.
  // Points outside are never continued from: a long step may have landed on another branch.
  let here = internal(best.p);
  let slope = tangent(problem, best.p, j, unscaled);
  let foundBetter = false;

  /** √(ΔSSE/σ²) with parameter j at u, solved from where the path is expected to be. */
  const distance = (u: number): number => {
    const step = u - here[j]!;
    const startAt = (at: readonly number[]) => {
      const start = Float64Array.from(at, (value, i) => fromInternal(problem.parameters[i]!, value));
      start[j] = fromInternal(parameter, u);
      return start;
    };
    const ahead = startAt(here.map((value, i) => value + slope[i]! * step));
    const between = onTrail(trail.map(internal), j, u);
    const starts = [ahead, ...(between ? [startAt(between)] : [])];
    const [first, ...others] = starts
      .map((start) => ({ start, sse: sumOfSquares(problem, start) }))
      .sort((a, b) => (a.sse < b.sse || Number.isNaN(b.sse) ? -1 : 1));
    let solution = solve(problem, first!.start, { fixed, maxIterations: 150 });
    if (!solution.converged) {
      for (const start of [...others.map((other) => other.start), startAt(here)]) {
        const second = solve(problem, start, { fixed, maxIterations: 150 });
        if (!(second.sse >= solution.sse)) solution = second;
      }
    }
    if (!Number.isFinite(solution.sse)) return Infinity;
    const d = Math.sqrt(Math.max(0, solution.sse - best.sse) / variance);
    if (d < critical && step !== 0) {
      const there = internal(solution.p);
      slope = there.map((value, i) => (value - here[i]!) / step);
      here = there;
      onInside(solution.p);
    }
    if (solution.sse < best.sse * (1 - BETTER)) {
      foundBetter = true;
      onBetter(solution);
    }
    return d;
  };

  const unit = isLog ? 1 : Math.max(Math.abs(best.p[j]!), 1e-12);
  const squared = unscaled ? unscaled[j * problem.parameters.length + j]! : 0;
  let step = squared > 0 ? Math.sqrt(variance * squared) / (isLog ? best.p[j]! : 1) : 0;
  // Without a covariance, at least what the residuals allow when the other parameters stand still.
  if (!(step > 0)) step = Math.sqrt(variance) / columnNorm(problem, best.p, j) / (isLog ? best.p[j]! : 1);
  if (!(step > 1e-10 * unit) || !Number.isFinite(step)) step = 1e-6 * unit;
  step = Math.min(step * critical, isLog ? 2 : Infinity);
  const smallest = step;

  let inside = origin;
  let insideDistance = 0;
  let reached = 0;
  let before = 0;
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
    // √ΔSSE is nearly linear in u near the optimum: aim a little past where the last two points say it crosses.
    const rise = d > before ? (travelled - reached) / (d - before) : Infinity;
    reached = travelled;
    before = d;
    step = Math.min(Math.max(1.1 * (critical - d) * rise, 0.1 * travelled), 2 * travelled);
  }
  for (let round = 0; round < MAX_REFINEMENTS; round++) {
    if (Math.abs(outsideDistance - critical) <= PRECISION * critical) break;
    // A distance far above the critical value tells little about where it crosses: step back by a share instead.
    const share =
      outsideDistance > 3 * critical
        ? 0.25
        : (critical - insideDistance) / (outsideDistance - insideDistance);
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
  const atBound = Number.isFinite(bound) && Math.abs(outside - bound) <= 1e-9 * Math.abs(bound);
  return { value: fromInternal(parameter, outside), end: atBound ? 'bound' : 'crossed' };
}

/** Between the two points of a trail whose j-th coordinates enclose u most closely; null where none do. */
function onTrail(trail: readonly (readonly number[])[], j: number, u: number): number[] | null {
  let below: readonly number[] | null = null;
  let above: readonly number[] | null = null;
  for (const point of trail) {
    const at = point[j]!;
    if (at <= u && (!below || at > below[j]!)) below = point;
    if (at >= u && (!above || at < above[j]!)) above = point;
  }
  if (!below || !above) return null;
  const span = above[j]! - below[j]!;
  const share = span > 0 ? (u - below[j]!) / span : 0;
  return below.map((value, i) => value + share * (above[i]! - value));
}

/** How the other parameters move with parameter j along the optima, to first order, in searched coordinates. */
function tangent(problem: LeastSquares, p: Float64Array, j: number, unscaled: Float64Array | null): number[] {
  const { parameters } = problem;
  const k = parameters.length;
  const scale = (i: number) => (parameters[i]!.transform === 'log' ? p[i]! : 1);
  const own = unscaled?.[j * k + j] ?? 0;
  return parameters.map((_, i) =>
    unscaled && own > 0 ? (unscaled[i * k + j]! / scale(i) / own) * scale(j) : i === j ? 1 : 0,
  );
}

function columnNorm(problem: LeastSquares, p: Float64Array, j: number): number {
  const k = problem.parameters.length;
  const jacobian = new Float64Array(problem.points * k);
  problem.jacobian(p, jacobian);
  let sum = 0;
  for (let i = 0; i < problem.points; i++) sum += jacobian[i * k + j]! ** 2;
  return Math.sqrt(sum);
}
