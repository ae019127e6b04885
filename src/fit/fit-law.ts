import type { Estimate, Fit, FitVerdict, Forecast, Limit, Loss } from '../files/fit.js';
import type { Law } from '../laws/law.js';
import { limitOf, xWithin } from './convergence.js';
import { type EstimatedProblem, finiteOrNull, type ParameterEstimate } from './estimate.js';
import { type FittedPoints, fitPoints } from './fit-points.js';
import { judge } from './identification.js';
import type { FitOptions } from './options.js';
import { type Series, slice } from './series.js';
import { aicc, durbinWatson, goodness, mean } from './statistics.js';

/** Sensitivity to leading points is shown for up to this many. */
const MAX_DROPPED = 10;
/** Shares of the series that the forecasts start from. */
const FORECAST_FROM = [0.6, 0.7, 0.8];
/** Tokens per parameter of the paper's Fig. 8. */
const DERIVATIVE_RATIOS = [20, 30, 40, 50, 60, 70, 80, 90, 100];
/** Points and residuals are written for series up to this long; a plot shows no more. */
const MAX_POINTS_WRITTEN = 2000;
/** Refits of parts of a series start from the whole's optimum and a few quasi-random points. */
const REFIT_STARTS = 12;
/** In brief, only the most promising starts are solved. */
const BRIEF_STARTS = 3;
/** Columns of the Jacobian this close to dependent leave no parameter a meaning of its own. */
const ILL_CONDITIONED = 1e3;
/** A curve that explains less of the variance than this has nothing to do with the data. */
const NO_TREND = 1e-6;

/** One law on one group: estimates with intervals, diagnostics, sensitivities. Bootstrap is added by its own module. */
export function fitLaw(law: Law, whole: Series, options: FitOptions): Fit {
  const series = slice(whole, Math.min(options.dropFirst, whole.x.length));
  const { x, y } = series;
  const refusal = refuse(law, series, options.loss);
  if (refusal) return empty(law, series, whole, options, refusal.verdict, refusal.reason);
  const fitted = fitPoints(law, x, y, {
    loss: options.loss,
    noise: options.noise,
    starts: options.starts,
    level: options.level,
    profiled: options.detail === 'full' ? undefined : [limitIndex(law)],
    screen: options.detail === 'full' ? undefined : BRIEF_STARTS,
  });
  if (!fitted) {
    return empty(law, series, whole, options, 'not-converged', 'no starting point gives finite values');
  }
  return describe(law, series, whole, options, fitted);
}

function refuse(law: Law, { x, y }: Series, loss: Loss): { verdict: FitVerdict; reason: string } | null {
  const k = law.parameters.length;
  const distinct = new Set(x).size;
  if (x.length <= k) {
    const reason = `${count(x.length, 'point')} for ${count(k, 'parameter')}: at least ${k + 1} are needed`;
    return { verdict: 'too-few-points', reason };
  }
  if (distinct < k || (k > 1 && distinct < 2)) {
    return {
      verdict: 'too-few-points',
      reason: `${count(distinct, 'distinct x')} for ${count(k, 'parameter')}`,
    };
  }
  if (law.id !== 'constant' && y.every((value) => value === y[0])) {
    return { verdict: 'not-converged', reason: `y is constant (${y[0]}): there is no trend to fit` };
  }
  if (loss === 'log' && y.some((value) => !(value > 0))) {
    return { verdict: 'not-converged', reason: 'y is not positive everywhere: no logarithm can be taken' };
  }
  return null;
}

const count = (n: number, noun: string) => `${n} ${noun}${n === 1 || noun.includes(' ') ? '' : 's'}`;

function describe(law: Law, series: Series, whole: Series, options: FitOptions, fitted: FittedPoints): Fit {
  const { x, y } = series;
  const n = x.length;
  const { estimated, correlated } = fitted;
  const { solution } = estimated;
  const curve = x.map((value) => law.value(value, solution.p));
  const residuals = y.map((value, i) => value - curve[i]!);
  const good = goodness(y, curve);
  const reasons = [...series.notes];
  const parameters: Record<string, Estimate> = {};
  for (const [j, parameter] of law.parameters.entries()) {
    const own = estimated.parameters[j]!;
    const { verdict, reason } = judge(parameter, own);
    if (reason) reasons.push(reason);
    parameters[parameter.name] = toEstimate(own, verdict);
  }
  const limit = limitEstimate(law, estimated, parameters);
  const { conditionNumber } = estimated.covariance ?? { conditionNumber: Number.POSITIVE_INFINITY };
  if (conditionNumber > ILL_CONDITIONED) {
    const text = Number.isFinite(conditionNumber)
      ? `condition number ${conditionNumber.toPrecision(2)}`
      : 'rank deficient';
    reasons.push(`the parameters are nearly interchangeable (${text}): read the curve, not the numbers`);
  }
  const noTrend = law.parameters.length > 1 && (good.r2 ?? 1) < NO_TREND;
  if (noTrend)
    reasons.push('its best curve is flat: the data have no trend, or one that this law cannot follow');
  if (!solution.converged) reasons.push(`not converged after ${solution.iterations} iterations`);
  const full = options.detail === 'full';
  const forecasts = full
    ? FORECAST_FROM.map((share) => forecast(law, series, 1 - share, options, solution.p))
    : [];
  return {
    ...identity(law, series, whole, options),
    parameters,
    covariance: scaledCovariance(estimated),
    limit,
    ...good,
    aicc:
      fitted.correction === null
        ? null
        : aicc(solution.sse, n, law.parameters.length + (correlated?.length ? 1 : 0), fitted.correction),
    sigma: finiteOrNull(Math.sqrt(estimated.variance)),
    xRange: [x[0]!, x[n - 1]!],
    yRange: [Math.min(...extremes(y)), Math.max(...extremes(y))],
    conditionNumber: finiteOrNull(conditionNumber),
    durbinWatson: durbinWatson(residuals),
    converged: solution.converged,
    verdict: overall(solution.converged && !noTrend, Object.values(parameters), limit),
    reasons,
    starts: estimated.starts,
    holdOut: forecast(law, series, options.holdOut, options, solution.p),
    forecasts: forecasts.filter((entry) => entry !== null),
    bootstrap: null,
    dropFirst: full ? dropFirstSensitivity(law, whole, options, solution.p) : [],
    variants: full ? variants(law, series, options, solution.p) : [],
    autocorrelation: full ? autocorrelation(law, series, options, solution.p) : null,
    convergence: convergence(law, solution.p, series, options),
    derivatives: derivatives(law, solution.p, series, options),
    modelParameters: series.modelParameters,
    clusterSigmas: clusterSigmas(series, residuals),
    points:
      full && n <= MAX_POINTS_WRITTEN
        ? { x: Array.from(x), y: Array.from(y), residual: Array.from(residuals) }
        : null,
  };
}

function identity(law: Law, series: Series, whole: Series, { loss, noise }: FitOptions) {
  const { id, formula, tex } = law;
  const n = series.x.length;
  return { group: whole.group, law: id, formula, tex, n, dropped: whole.x.length - n, loss, noise };
}

/** A fit without numbers: what was wrong instead. */
function empty(
  law: Law,
  series: Series,
  whole: Series,
  options: FitOptions,
  verdict: FitVerdict,
  reason: string,
): Fit {
  return {
    ...identity(law, series, whole, options),
    parameters: {},
    covariance: null,
    limit: null,
    sse: null,
    mse: null,
    mae: null,
    r2: null,
    aicc: null,
    sigma: null,
    xRange: series.x.length > 0 ? [series.x[0]!, series.x.at(-1)!] : null,
    yRange: null,
    conditionNumber: null,
    durbinWatson: null,
    converged: false,
    verdict,
    reasons: [reason, ...series.notes],
    starts: { tried: 0, agreeing: 0 },
    holdOut: null,
    forecasts: [],
    bootstrap: null,
    dropFirst: [],
    variants: [],
    autocorrelation: null,
    convergence: [],
    derivatives: [],
    modelParameters: series.modelParameters,
    clusterSigmas: {},
    points: null,
  };
}

export function toEstimate(own: ParameterEstimate, verdict: Estimate['verdict']): Estimate {
  return {
    estimate: own.value,
    standardError: own.standardError,
    interval: [own.low, own.high],
    intervalMethod: own.method,
    atBound: own.atBound,
    verdict,
  };
}

/** The limit is a parameter plus a constant, so its interval is the parameter's, moved. */
function limitEstimate(
  law: Law,
  estimated: EstimatedProblem,
  parameters: Record<string, Estimate>,
): Limit | null {
  if (!law.limit) return null;
  const own = parameters[law.limit.parameter]!;
  const offset = law.limit.offset(estimated.solution.p);
  const move = (end: number | null) => (end === null ? null : end + offset);
  return {
    estimate: own.estimate + offset,
    standardError: own.standardError,
    interval: [move(own.interval[0]), move(own.interval[1])],
    verdict: own.verdict,
  };
}

function scaledCovariance({ covariance, variance, solution }: EstimatedProblem): number[][] | null {
  if (!covariance || !Number.isFinite(variance)) return null;
  const k = solution.p.length;
  return Array.from({ length: k }, (_, a) =>
    Array.from({ length: k }, (_, b) => variance * covariance.unscaled[a * k + b]!),
  );
}

function overall(converged: boolean, parameters: Estimate[], limit: Limit | null): FitVerdict {
  if (!converged) return 'not-converged';
  if (parameters.some(({ verdict }) => verdict === 'at-bound')) return 'at-bound';
  const weak = [...parameters, ...(limit ? [limit] : [])].some(({ verdict }) => verdict !== 'ok');
  return weak ? 'weakly-identified' : 'ok';
}

function extremes(values: Float64Array): [number, number] {
  let lo = Infinity;
  let hi = -Infinity;
  for (const value of values) {
    if (value < lo) lo = value;
    if (value > hi) hi = value;
  }
  return [lo, hi];
}

/** Fits the points before the held-out share and compares the curve with the held-out ones. */
function forecast(
  law: Law,
  { x, y }: Series,
  fraction: number,
  options: FitOptions,
  warm: Float64Array,
): Forecast | null {
  const n = x.length;
  const trained = Math.round(n * (1 - fraction));
  if (!(fraction > 0) || trained <= law.parameters.length || trained >= n) return null;
  const fitted = fitPoints(law, x.slice(0, trained), y.slice(0, trained), {
    loss: options.loss,
    starts: REFIT_STARTS,
    screen: options.detail === 'full' ? undefined : 0,
    coarse: options.detail === 'brief',
    intervals: 'none',
    warm,
  });
  const none = { fraction, trained, rmse: null, mae: null, lastFiveRelativeError: null };
  if (!fitted) return none;
  const { p } = fitted.estimated.solution;
  const predicted = x.slice(trained).map((value) => law.value(value, p));
  const { mse, mae } = goodness(y.slice(trained), predicted);
  const last = Math.min(5, n - trained);
  const measured = mean(y.slice(n - last));
  return {
    fraction,
    trained,
    rmse: finiteOrNull(Math.sqrt(mse)),
    mae: finiteOrNull(mae),
    lastFiveRelativeError: finiteOrNull(
      (mean(predicted.slice(predicted.length - last)) - measured) / measured,
    ),
  };
}

function dropFirstSensitivity(
  law: Law,
  whole: Series,
  options: FitOptions,
  p: Float64Array,
): Fit['dropFirst'] {
  const result: Fit['dropFirst'] = [];
  let warm: ArrayLike<number> = p;
  for (let dropped = 0; dropped <= MAX_DROPPED; dropped++) {
    const { x, y } = slice(whole, dropped);
    if (x.length < law.parameters.length + 2) break;
    const fitted = fitPoints(law, x, y, {
      loss: options.loss,
      starts: REFIT_STARTS,
      intervals: 'none',
      warm,
    });
    if (!fitted) continue;
    const { solution, parameters } = fitted.estimated;
    warm = solution.p;
    result.push({
      dropped,
      n: x.length,
      sse: goodness(
        y,
        x.map((value) => law.value(value, solution.p)),
      ).sse,
      converged: solution.converged,
      parameters: named(law, solution.p),
      standardErrors: Object.fromEntries(
        law.parameters.map(({ name }, j) => [name, parameters[j]!.standardError]),
      ),
      limit: limitOf(law, solution.p),
    });
  }
  return result;
}

function variants(law: Law, { x, y }: Series, options: FitOptions, warm: Float64Array): Fit['variants'] {
  const result: Fit['variants'] = [];
  for (const loss of ['squares', 'huber', 'log'] as const) {
    if (loss === options.loss || (loss === 'log' && y.some((value) => !(value > 0)))) continue;
    const fitted = fitPoints(law, x, y, { loss, starts: REFIT_STARTS, intervals: 'none', warm });
    if (!fitted) continue;
    const { solution } = fitted.estimated;
    result.push({
      loss,
      converged: solution.converged,
      parameters: named(law, solution.p),
      limit: limitOf(law, solution.p),
      mae: goodness(
        y,
        x.map((value) => law.value(value, solution.p)),
      ).mae,
    });
  }
  return result;
}

function autocorrelation(
  law: Law,
  { x, y }: Series,
  options: FitOptions,
  warm: Float64Array,
): Fit['autocorrelation'] {
  const fitted = fitPoints(law, x, y, {
    loss: options.loss === 'huber' ? 'squares' : options.loss,
    noise: 'correlated',
    starts: REFIT_STARTS,
    level: options.level,
    only: [limitIndex(law)],
    warm,
  });
  if (!fitted?.correlated) return null;
  const { estimated, correlated } = fitted;
  const parameters = Object.fromEntries(
    law.parameters.map((parameter, j) => {
      const own = estimated.parameters[j]!;
      return [parameter.name, toEstimate(own, judge(parameter, own).verdict)];
    }),
  );
  return {
    length: correlated.length,
    correlationAtMedianGap: correlated.correlationAtMedianGap,
    pValue: correlated.pValue,
    parameters: named(law, estimated.solution.p),
    limit: limitEstimate(law, estimated, parameters),
  };
}

/** Place of the parameter that the limit is made of; −1 where there is none. */
const limitIndex = (law: Law) => law.parameters.findIndex(({ name }) => name === law.limit?.parameter);

const named = (law: Law, p: ArrayLike<number>) =>
  Object.fromEntries(law.parameters.map(({ name }, j) => [name, p[j]!]));

function convergence(law: Law, p: Float64Array, series: Series, options: FitOptions): Fit['convergence'] {
  return options.within.flatMap((withinPercent) => {
    const x = xWithin(law, p, withinPercent / 100);
    if (x === null) return [];
    return {
      withinPercent,
      x,
      tokensPerParameter: series.modelParameters ? (x * options.xUnit) / series.modelParameters : null,
      extrapolated: x > series.x.at(-1)!,
    };
  });
}

function derivatives(law: Law, p: Float64Array, series: Series, options: FitOptions): Fit['derivatives'] {
  const { modelParameters } = series;
  if (!modelParameters) return [];
  return DERIVATIVE_RATIOS.map((tokensPerParameter) => {
    const perUnit = modelParameters / options.xUnit;
    const x = tokensPerParameter * perUnit;
    const perX = law.slope(x, p);
    return { tokensPerParameter, x, perX, perRatio: perX * perUnit };
  });
}

/** Root mean square residual of each run of a group that pools several. */
function clusterSigmas({ clusters, clusterNames }: Series, residuals: Float64Array): Record<string, number> {
  if (!clusters || clusterNames.length < 2) return {};
  const squares = new Float64Array(clusterNames.length);
  const counts = new Float64Array(clusterNames.length);
  for (const [i, cluster] of clusters.entries()) {
    squares[cluster]! += residuals[i]! ** 2;
    counts[cluster]!++;
  }
  return Object.fromEntries(clusterNames.map((name, c) => [name, Math.sqrt(squares[c]! / counts[c]!)]));
}
