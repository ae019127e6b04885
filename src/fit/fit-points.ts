import type { Loss, Noise } from '../files/fit.js';
import type { Law } from '../laws/law.js';
import { type CorrelatedFit, fitCorrelated } from './autocorrelation.js';
import { CONDENSE_ABOVE, condense } from './condense.js';
import { type EstimatedProblem, type EstimateOptions, estimateProblem } from './estimate.js';
import { fitHuber } from './huber.js';
import { multistart } from './multistart.js';
import { type LeastSquares, lawProblem, logarithmic, weighted } from './problem.js';
import { haltonPoint } from './quasi-random.js';

export interface FitPointsOptions {
  loss?: Loss;
  noise?: Noise;
  starts?: number;
  level?: number;
  intervals?: EstimateOptions['intervals'];
  only?: readonly number[];
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
      variance: variance === undefined ? undefined : () => variance,
    });

  const first = firstStarts(law, base, x, y, loss, starts, options.warm);
  if (loss === 'squares' && noise === 'independent') {
    const estimated = estimateFrom(base, first.points, first.total);
    if (estimated && first.found) estimated.starts = first.found;
    return estimated && { problem: base, estimated, correlated: null, correction: 0 };
  }
  const initial = multistart(base, first.points, { total: first.total });
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

/** Long series: the starts are solved on cells of points, and only the best one on all of them. */
function firstStarts(
  law: Law,
  base: LeastSquares,
  x: Float64Array,
  y: Float64Array,
  loss: Loss,
  total: number,
  warm?: ArrayLike<number>,
): { points: Iterable<ArrayLike<number>>; total: number; found?: { tried: number; agreeing: number } } {
  const withWarm = function* (inner: Iterable<ArrayLike<number>>) {
    if (warm) yield warm;
    yield* inner;
  };
  const starts = law.startDimensions === 0 ? 1 : total;
  if (base.points <= CONDENSE_ABOVE) {
    return { points: withWarm(startingPoints(law, x, y, starts)), total: starts + (warm ? 1 : 0) };
  }
  const cells = condense(x, y);
  const plain = lawProblem(law, cells.x, cells.y);
  const coarse = weighted(loss === 'log' ? logarithmic(plain) : plain, cells.sigma);
  const found = multistart(coarse, withWarm(startingPoints(law, cells.x, cells.y, starts)), {
    total: starts + (warm ? 1 : 0),
  });
  if (!found) return { points: startingPoints(law, x, y, starts), total: starts };
  return { points: [found.best.p], total: 1, found: { tried: found.tried, agreeing: found.agreeing } };
}
