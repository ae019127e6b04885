import type { Loss, Noise } from '../files/fit.js';
import type { Law } from '../laws/law.js';
import { type CorrelatedFit, fitCorrelated } from './autocorrelation.js';
import { CONDENSE_ABOVE, condense } from './condense.js';
import { type EstimatedProblem, type EstimateOptions, estimateProblem } from './estimate.js';
import { fitHuber } from './huber.js';
import { mostPromising, multistart } from './multistart.js';
import { type LeastSquares, lawProblem, logarithmic, weighted } from './problem.js';
import { haltonPoint } from './quasi-random.js';

export interface FitPointsOptions {
  loss?: Loss;
  noise?: Noise;
  starts?: number;
  level?: number;
  intervals?: EstimateOptions['intervals'];
  only?: readonly number[];
  profiled?: readonly number[];
  /** Solve only from this many of the starts, those with the smallest sums of squares. */
  screen?: number;
  /** With `warm`, a long series is solved on its cells only: enough for the error of a forecast, not for an estimate. */
  coarse?: boolean;
  /** A parameter vector to try first, e.g. that of the same series with one more point. */
  warm?: ArrayLike<number>;
}

export interface FittedPoints {
  problem: LeastSquares;
  estimated: EstimatedProblem;
  correlated: CorrelatedFit | null;
  /** What AICc adds to n·ln(SSE/n) for a transformed y or correlated residuals; null where it has no meaning. */
  correction: number | null;
}

/** The law's quasi-random starting points for these data. */
export function* startingPoints(law: Law, x: Float64Array, y: Float64Array, total: number) {
  const count = law.startDimensions === 0 ? 1 : total;
  for (let i = 0; i < count; i++) yield law.start(haltonPoint(i, law.startDimensions), { x, y });
}

/** One law on one series under a loss and a noise model; null when no start has finite residuals. */
export function fitPoints(
  law: Law,
  x: Float64Array,
  y: Float64Array,
  options: FitPointsOptions = {},
): FittedPoints | null {
  const {
    loss = 'squares',
    noise = 'independent',
    starts = 64,
    level = 0.95,
    intervals = 'profile',
  } = options;
  const cells = options.coarse ? condensedProblem(law, x, y, loss) : undefined;
  if (cells && options.warm) {
    const only = {
      working: law.working?.({ x, y }),
      starts: [options.warm],
      totalStarts: 1,
      level,
      intervals: 'none' as const,
    };
    const estimated = estimateProblem(cells, only);
    return estimated && { problem: cells, estimated, correlated: null, correction: null };
  }
  const plain = lawProblem(law, x, y);
  const base = loss === 'log' ? logarithmic(plain) : plain;
  let logJacobian = 0;
  if (loss === 'log') for (const value of y) logJacobian += 2 * Math.log(value);
  const estimateFrom = (
    problem: LeastSquares,
    from: Iterable<ArrayLike<number>>,
    total: number,
    variance?: number,
  ) =>
    estimateProblem(problem, {
      starts: from,
      totalStarts: total,
      level,
      intervals,
      only: options.only,
      profiled: options.profiled,
      working: law.working?.({ x, y }),
      profileOn: problem === base ? condensedProblem(law, x, y, loss) : undefined,
      variance: variance === undefined ? undefined : () => variance,
    });

  const first = firstStarts(law, base, x, y, loss, starts, options);
  if (loss === 'squares' && noise === 'independent') {
    const estimated = estimateFrom(base, first.points, first.total);
    if (estimated && first.found) estimated.starts = first.found;
    return estimated && { problem: base, estimated, correlated: null, correction: 0 };
  }
  const form = law.working?.({ x, y });
  const initial = multistart(base, first.points, { total: first.total, working: form });
  if (!initial) return null;
  const found = first.found ?? { tried: initial.tried, agreeing: initial.agreeing };
  if (loss === 'huber') {
    const robust = fitHuber(base, initial.best.p);
    if (!robust) return null;
    const estimated = estimateFrom(robust.problem, [robust.solution.p], 1, robust.variance);
    return (
      estimated && {
        problem: robust.problem,
        estimated: { ...estimated, starts: found },
        correlated: null,
        correction: null,
      }
    );
  }
  if (noise === 'correlated') {
    const correlated = fitCorrelated(base, x, initial.best.p);
    const estimated = estimateFrom(correlated.problem, [correlated.solution.p], 1);
    return (
      estimated && {
        problem: correlated.problem,
        estimated: { ...estimated, starts: found },
        correlated,
        correction: correlated.logDeterminant + logJacobian,
      }
    );
  }
  const estimated = estimateFrom(base, [initial.best.p], 1);
  return (
    estimated && {
      problem: base,
      estimated: { ...estimated, starts: found },
      correlated: null,
      correction: logJacobian,
    }
  );
}

/** The problem on cells of points, for series too long to be solved hundreds of times; undefined for short ones. */
function condensedProblem(law: Law, x: Float64Array, y: Float64Array, loss: Loss): LeastSquares | undefined {
  if (x.length <= CONDENSE_ABOVE) return undefined;
  const cells = condense(x, y);
  const plain = lawProblem(law, cells.x, cells.y);
  return weighted(loss === 'log' ? logarithmic(plain) : plain, cells.sigma);
}

/** Long series: the starts are solved on cells of points, and only the best one on all of them. */
function firstStarts(
  law: Law,
  base: LeastSquares,
  x: Float64Array,
  y: Float64Array,
  loss: Loss,
  wanted: number,
  { warm, screen }: FitPointsOptions,
): { points: ArrayLike<number>[]; total: number; found?: { tried: number; agreeing: number } } {
  const coarse = condensedProblem(law, x, y, loss);
  const seen = coarse ? condense(x, y) : { x, y };
  const all = [...startingPoints(law, seen.x, seen.y, wanted)];
  const chosen = screen === undefined ? all : mostPromising(coarse ?? base, all, screen);
  const points = warm ? [warm, ...chosen] : chosen;
  if (!coarse) return { points, total: points.length };
  const form = law.working?.({ x, y });
  const found = multistart(coarse, points, { total: points.length, working: form });
  if (!found) return { points, total: points.length };
  return { points: [found.best.p], total: 1, found: { tried: found.tried, agreeing: found.agreeing } };
}
