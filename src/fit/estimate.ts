import type { LawParameter, WorkingForm } from '../laws/law.js';
import { fromInternal, toInternal } from './coordinates.js';
import { studentQuantile } from './distributions.js';
import { type Solution, solve } from './levenberg-marquardt.js';
import { type Covariance, covariance } from './linear-algebra.js';
import { multistart } from './multistart.js';
import { inWorkingForm, type LeastSquares } from './problem.js';
import { type Profile, type ProfileOptions, profile } from './profile.js';

export interface ParameterEstimate {
  value: number;
  standardError: number | null;
  low: number | null;
  high: number | null;
  method: 'profile' | 'profile-one-sided' | 'wald' | 'none';
  atBound: boolean;
  /** How the profile ended to either side; `crossed` for other methods. */
  lowEnd: 'crossed' | 'bound' | 'open';
  highEnd: 'crossed' | 'bound' | 'open';
}

export interface EstimatedProblem {
  solution: Solution;
  starts: { tried: number; agreeing: number };
  /** σ² of the whitened residuals: SSE/(n − k), or what `variance` made of them. */
  variance: number;
  freedom: number;
  covariance: Covariance | null;
  parameters: ParameterEstimate[];
}

export interface EstimateOptions {
  starts: Iterable<ArrayLike<number>>;
  totalStarts: number;
  /** Two-sided confidence, e.g. 0.95. */
  level: number;
  /** `profile` intervals, `wald` (estimate ± t·SE) or none. */
  intervals: 'profile' | 'wald' | 'none';
  /** σ² from the solution when it is not SSE/(n − k). */
  variance?: (solution: Solution) => number;
  /** Indices of the parameters whose intervals are wanted; all when absent. */
  only?: readonly number[];
  /** Indices whose intervals are profiled; the others get Wald intervals. All when absent. */
  profiled?: readonly number[];
  /** Coordinates in which to solve and to follow the profiles of the parameters they share with the law. */
  working?: WorkingForm;
  /** A condensed form of the problem to profile on: many points, same information. */
  profileOn?: LeastSquares;
}

/** A profile may find a better optimum; each time the fit restarts there. More often than this it is not a fit. */
const MAX_RESTARTS = 4;

/** Best fit, standard errors and intervals of every parameter; null when no start has finite residuals. */
export function estimateProblem(problem: LeastSquares, options: EstimateOptions): EstimatedProblem | null {
  const k = problem.parameters.length;
  const freedom = problem.points - k;
  const found = multistart(problem, options.starts, { total: options.totalStarts, working: options.working });
  if (!found) return null;
  let { best } = found;
  let agreeing = found.agreeing;
  for (let restart = 0; ; restart++) {
    const result = describe(problem, best, { tried: found.tried, agreeing }, freedom, options);
    const better = result.better;
    if (!better || restart >= MAX_RESTARTS) return result.estimated;
    const again = multistart(problem, [better.p], { total: 1, working: options.working });
    if (!again || !(again.best.sse < best.sse)) return result.estimated;
    best = again.best;
    agreeing = 0;
  }
}

function describe(
  problem: LeastSquares,
  best: Solution,
  starts: { tried: number; agreeing: number },
  freedom: number,
  options: EstimateOptions,
): { estimated: EstimatedProblem; better: Solution | null } {
  const k = problem.parameters.length;
  const jacobian = new Float64Array(problem.points * k);
  problem.jacobian(best.p, jacobian);
  const free = problem.parameters.map((_, j) => j).filter((j) => !best.atBound[j]);
  const spread = covariance(jacobian, k, free);
  const direction =
    free.length === k
      ? spread
      : covariance(
          jacobian,
          k,
          Array.from({ length: k }, (_, j) => j),
        );
  const variance = options.variance?.(best) ?? best.sse / freedom;
  // On the condensed problem the profile is followed around its own optimum, then moved to the whole's.
  const condensed = options.profileOn ? solve(options.profileOn, best.p, { polish: true }) : null;
  let better: Solution | null = null;
  const trail: Float64Array[] = [];
  const estimateOf = (j: number): ParameterEstimate => {
    const atBound = best.atBound[j]!;
    const value = best.p[j]!;
    const standardError =
      spread && !atBound ? finiteOrNull(Math.sqrt(variance * spread.unscaled[j * k + j]!)) : null;
    const none: ParameterEstimate = {
      value,
      standardError,
      low: null,
      high: null,
      method: 'none',
      atBound,
      lowEnd: 'crossed',
      highEnd: 'crossed',
    };
    const wanted = options.only?.includes(j) ?? true;
    if (options.intervals === 'none' || !wanted || !best.converged || better || !(freedom > 0)) return none;
    if (!(variance > 0)) return { ...none, low: value, high: value, method: 'wald' };
    const twoSided = studentQuantile((1 + options.level) / 2, freedom);
    if (options.intervals === 'wald' || !(options.profiled?.includes(j) ?? true)) {
      if (standardError === null) return none;
      const half = twoSided * standardError;
      return { ...none, low: value - half, high: value + half, method: 'wald' };
    }
    const critical = atBound ? studentQuantile(options.level, freedom) : twoSided;
    const sides = profileIn(options.profileOn ?? problem, condensed ?? best, j, options.working, {
      variance,
      critical,
      unscaled: (direction ?? spread)?.unscaled ?? null,
      trail,
    });
    if (options.working?.shared.includes(j)) trail.push(...sides.path);
    if (sides.better && !condensed) better = sides.better;
    if (condensed) moveProfile(sides, problem.parameters[j]!, condensed.p[j]!, value);
    return { ...none, ...fromProfile(sides), method: atBound ? 'profile-one-sided' : 'profile' };
  };
  // First those that the working coordinates hold: their paths show the others the way.
  const shared = options.working?.shared ?? [];
  const order = problem.parameters
    .map((_, j) => j)
    .sort((a, b) => Number(shared.includes(b)) - Number(shared.includes(a)));
  const parameters = new Array<ParameterEstimate>(k);
  for (const j of order) parameters[j] = estimateOf(j);
  return {
    estimated: { solution: best, starts, variance, freedom, covariance: spread, parameters },
    better,
  };
}

/** The profile in the working coordinates where the parameter is one of them, else in the law's own. */
function profileIn(
  problem: LeastSquares,
  best: Solution,
  j: number,
  form: WorkingForm | undefined,
  options: ProfileOptions,
): Profile {
  if (!form?.shared.includes(j)) return profile(problem, best, j, options);
  const working = inWorkingForm(problem, form);
  const q = Float64Array.from(form.toWorking(best.p));
  const k = q.length;
  const jacobian = new Float64Array(working.points * k);
  working.jacobian(q, jacobian);
  const all = Array.from({ length: k }, (_, i) => i);
  const unscaled = covariance(jacobian, k, all)?.unscaled ?? null;
  // In these coordinates the valley is straight: no trail is needed.
  const found = profile(working, { ...best, p: q }, j, { ...options, unscaled, trail: [] });
  const own = (point: Float64Array) => Float64Array.from(form.fromWorking(point));
  const better = found.better && { ...found.better, p: own(found.better.p) };
  return { ...found, better, path: found.path.map(own) };
}

/** Shifts both ends, in the searched coordinate, by the distance between two optima; ends on a bound stay. */
function moveProfile({ low, high }: Profile, parameter: LawParameter, from: number, to: number): void {
  const shift = toInternal(parameter, to) - toInternal(parameter, from);
  for (const side of [low, high]) {
    if (side.end === 'crossed')
      side.value = fromInternal(parameter, toInternal(parameter, side.value) + shift);
  }
}

const fromProfile = ({ low, high }: Profile) => ({
  low: low.end === 'open' ? null : finiteOrNull(low.value),
  high: high.end === 'open' ? null : finiteOrNull(high.value),
  lowEnd: low.end,
  highEnd: high.end,
});

/** JSON holds no NaN and no infinity. */
export const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null);
