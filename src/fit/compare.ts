import type { Comparison, Fit } from '../files/fit.js';
import { LAWS } from '../laws/index.js';
import { normalQuantile } from './distributions.js';

/** Closer than this in AICc, two laws are not told apart. */
const INDISTINCT = 2;
/** Baselines of the trend's mere existence; they are ranked, but no reason to call a law undecided. */
const NO_TREND_LAWS = ['constant'];

/** AICc ranking, weights and the averaged limit of the laws fitted to one group. */
export function compare(fits: readonly Fit[], level: number, choose: boolean): Comparison {
  const group = fits[0]?.group ?? {};
  const usable = fits
    .filter((fit) => fit.aicc !== null && fit.verdict !== 'not-converged')
    .sort((a, b) => a.aicc! - b.aicc!);
  const lowest = usable[0]?.aicc ?? 0;
  const likelihoods = usable.map((fit) => Math.exp(-0.5 * (fit.aicc! - lowest)));
  const total = likelihoods.reduce((sum, value) => sum + value, 0);
  const weights = likelihoods.map((value) => value / total);
  const rest = fits.filter((fit) => !usable.includes(fit));
  const ranking = [
    ...usable.map((fit, i) => ({
      law: fit.law,
      aicc: fit.aicc,
      deltaAicc: fit.aicc! - lowest,
      weight: weights[i]!,
      forecastRmse: fit.holdOut?.rmse ?? null,
    })),
    ...rest.map((fit) => ({
      law: fit.law,
      aicc: fit.aicc,
      deltaAicc: null,
      weight: null,
      forecastRmse: fit.holdOut?.rmse ?? null,
    })),
  ];
  return {
    group,
    ranking,
    averagedLimit: averageLimit(usable, weights, level),
    chosen: choose && usable[0] ? { law: usable[0].law, why: reasonFor(usable, weights, rest) } : null,
  };
}

/**
 * Burnham and Anderson's model average: Σ wᵢLᵢ with variance (Σ wᵢ √(seᵢ² + (Lᵢ − L̄)²))², over the laws that have a
 * possible limit; the weight of those that have none is written beside it.
 */
function averageLimit(
  fits: readonly Fit[],
  weights: readonly number[],
  level: number,
): Comparison['averagedLimit'] {
  const z = normalQuantile((1 + level) / 2);
  const limits = fits.flatMap((fit, i) => {
    if (!fit.limit || isImpossible(fit)) return [];
    const { estimate, standardError, interval } = fit.limit;
    const [low, high] = interval;
    // At a bound there is no standard error: take the one its one-sided interval would have.
    const reach = Math.max(high === null ? 0 : high - estimate, low === null ? 0 : estimate - low);
    return { estimate, weight: weights[i]!, standardError: standardError ?? reach / z };
  });
  const weight = limits.reduce((sum, item) => sum + item.weight, 0);
  if (!(weight > 0)) return null;
  const estimate = limits.reduce((sum, item) => sum + (item.weight / weight) * item.estimate, 0);
  const standardError = limits.reduce(
    (sum, item) => sum + (item.weight / weight) * Math.hypot(item.standardError, item.estimate - estimate),
    0,
  );
  const lowest = fits.every(isPositive) ? 0 : -Infinity;
  return {
    estimate,
    standardError,
    interval: [Math.max(lowest, estimate - z * standardError), estimate + z * standardError],
    weightWithoutLimit: Math.max(0, 1 - weight),
  };
}

/** A quantity that was positive at every point does not become negative: a law that says so has no possible limit. */
const isImpossible = (fit: Fit) => isPositive(fit) && fit.limit !== null && fit.limit.estimate < 0;
const isPositive = ({ yRange }: Fit) => yRange !== null && yRange[0] > 0;

function reasonFor(usable: readonly Fit[], weights: readonly number[], rest: readonly Fit[]): string {
  const [best, ...others] = usable;
  const parts = [
    `lowest AICc (${best!.aicc!.toFixed(1)}, weight ${weights[0]!.toFixed(2)}) of ${usable.length} laws`,
  ];
  const near = others.filter(
    (fit) => fit.aicc! - best!.aicc! < INDISTINCT && !NO_TREND_LAWS.includes(fit.law),
  );
  const next = others[0];
  if (near.length > 0) {
    parts.push(
      `not told apart from ${near.map((fit) => `${fit.law} (+${(fit.aicc! - best!.aicc!).toFixed(1)})`).join(', ')}`,
    );
  } else if (next) {
    parts.push(`next ${next.law} at +${(next.aicc! - best!.aicc!).toFixed(1)}`);
  }
  const forecasts = usable
    .filter((fit) => fit.holdOut?.rmse != null)
    .sort((a, b) => a.holdOut!.rmse! - b.holdOut!.rmse!);
  const foreseer = forecasts[0];
  if (foreseer && foreseer.law !== best!.law) {
    parts.push(`${foreseer.law} forecasts the held-out end better`);
  } else if (foreseer) {
    parts.push('it also forecasts the held-out end best');
  }
  if (rest.length > 0) parts.push(`no usable fit: ${rest.map((fit) => fit.law).join(', ')}`);
  return parts.join('; ');
}

/** Laws that only make sense where x is a scale (limits against parameters, width-depth). */
const SCALE_LAWS = ['piecewise-linear', 'power'];
/** The laws `--law auto` tries on these points: those whose direction is the data's. */
export function lawsForShape(x: ArrayLike<number>, y: ArrayLike<number>, ofScale: boolean): string[] {
  const direction = rankTrend(x, y);
  if (ofScale) return ['constant', 'linear', 'log', ...SCALE_LAWS];
  return LAWS.filter(
    ({ id, shape }) =>
      !SCALE_LAWS.includes(id) &&
      (shape === 'either' || direction === 0 || (shape === 'decreasing') === direction < 0),
  ).map(({ id }) => id);
}

/** Sign of Kendall's count of concordant minus discordant pairs (on at most 200 points). */
function rankTrend(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const stride = Math.max(1, Math.ceil(x.length / 200));
  let sum = 0;
  for (let i = 0; i < x.length; i += stride) {
    for (let j = 0; j < i; j += stride) sum += Math.sign(x[i]! - x[j]!) * Math.sign(y[i]! - y[j]!);
  }
  return Math.sign(sum);
}
