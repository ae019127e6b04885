import type { Fit } from '../files/fit.js';
import { findLaw } from '../laws/index.js';
import { groupBy } from '../table/group-by.js';
import { countOf, formatInterval, formatNumber, formatValue, listOf } from './format.js';
import { axisOf, budgetsOf, type FitView, type ReportModel } from './model.js';

/** The paper's runs end at this many tokens per non-embedding parameter (2.4B at 119, 0.1B at 385). */
const PAPER_TOKENS_PER_PARAMETER = { least: 119, most: 385 };

/** The first sentence of a report: what was trained how long, and whether limits may be set beside the paper's. */
export function leadSentence(model: ReportModel): string {
  const budgets = budgetsOf(model);
  const range = (values: (number | null)[]) => {
    const known = values.filter((value): value is number => value !== null);
    if (known.length === 0) return null;
    return { least: Math.min(...known), most: Math.max(...known) };
  };
  const perParameter = range(budgets.map((budget) => budget.tokensPerParameter));
  const epochs = range(budgets.map((budget) => budget.epochs));
  const runs = countOf(budgets.length, 'run');
  const span = (r: { least: number; most: number }) => {
    const [least, most] = [formatNumber(r.least, 3), formatNumber(r.most, 3)];
    return least === most ? least : `${least} to ${most}`;
  };
  if (!perParameter) {
    const verdicts = fitSentence(model);
    return verdicts || `${runs}.`;
  }
  const seen = epochs ? ` and ${span(epochs)} epochs of the training text` : '';
  const few = perParameter.least < PAPER_TOKENS_PER_PARAMETER.least;
  const repeated = (epochs?.most ?? 0) > 1.5;
  const reasons = [
    few &&
      `whose runs saw ${PAPER_TOKENS_PER_PARAMETER.least} to ${PAPER_TOKENS_PER_PARAMETER.most} tokens per parameter`,
    repeated && !few && 'whose runs did not repeat their text so often',
  ].filter(Boolean);
  return (
    `${runs} trained for ${span(perParameter)} tokens per non-embedding parameter${seen}: ` +
    (reasons.length > 0
      ? `limits from such runs describe these runs and are not comparable with the paper's, ${reasons[0]}.`
      : "a length like that of the paper's runs.")
  );
}

/** How many series were fitted, to how many points, and with what verdicts; empty without fits. */
export function fitSentence(model: ReportModel): string {
  const views = model.fits.filter((view) => view.isPreferred);
  if (views.length === 0) return '';
  const points = views.reduce((sum, { fit }) => sum + fit.n, 0);
  const verdicts = [...groupBy(views, ({ fit }) => verdictOf(fit).words)].map(
    ([words, own]) => `${own.length} ${words}`,
  );
  return `Laws fitted to ${countOf(points, 'point')} of ${countOf(views.length, 'series', 'series')}: ${listOf(verdicts)}.`;
}

/** Name of the law for people. */
export const lawTitle = (id: string) => findLaw(id)?.title ?? id;

export interface Verdict {
  words: string;
  tone: 'ok' | 'caution' | 'bad';
}

const VERDICTS: Record<Fit['verdict'], Verdict> = {
  ok: { words: 'well identified', tone: 'ok' },
  'weakly-identified': { words: 'weakly identified', tone: 'caution' },
  'at-bound': { words: 'at a bound', tone: 'caution' },
  'not-converged': { words: 'not converged', tone: 'bad' },
  'too-few-points': { words: 'too few points', tone: 'bad' },
};
export const verdictOf = (fit: Fit): Verdict => VERDICTS[fit.verdict];

/** One sentence a law: quantity, limit, interval, verdict. */
export function lawSentence(view: FitView): string {
  const { fit, file, label } = view;
  const y = axisOf(file.y);
  const x = axisOf(file.x);
  const points = countOf(fit.n, 'point');
  if (!fit.limit)
    return `${label}: ${lawTitle(fit.law)}, no finite limit (${points}, ${verdictOf(fit).words}).`;
  return (
    `${label}: ${y.title.toLowerCase()} tends to ${formatValue(fit.limit.estimate, y.kind)} ` +
    `(${Math.round(file.level * 100)}% interval ${formatInterval(fit.limit.interval, y.kind)}) as ${x.title.toLowerCase()} grow; ` +
    `${lawTitle(fit.law).toLowerCase()}, ${points}, ${verdictOf(fit).words}.`
  );
}

/** What supports the fit and what speaks against it. */
export function howSure({ fit, file }: FitView): string {
  const kind = axisOf(file.y).kind;
  const amount = (value: number) =>
    kind === 'share' ? `${formatNumber(value * 100, 2)} points` : formatNumber(value, 3);
  const parts = [
    fit.r2 !== null && `R² ${formatNumber(fit.r2, 4)} on ${countOf(fit.n, 'point')}`,
    fit.dropped > 0 && `${countOf(fit.dropped, 'leading point')} left out`,
    fit.holdOut?.rmse != null &&
      `forecast of the last ${formatNumber(fit.holdOut.fraction * 100, 2)}% errs by ${amount(fit.holdOut.rmse)}`,
    fit.durbinWatson !== null &&
      fit.durbinWatson < 1.2 &&
      `residuals follow one another (Durbin–Watson ${formatNumber(fit.durbinWatson, 2)})`,
  ].filter(Boolean);
  return [
    `${parts.join('; ')}.`,
    ...fit.reasons.map((reason) => `${reason[0]?.toUpperCase() ?? ''}${reason.slice(1)}.`),
  ].join(' ');
}

/** Half an interval wider than this share of the limit says little about where the curve ends. */
const WIDE = 0.1;

/** What would help most; rules, in the order of what stands in the way. */
export function whatNext(view: FitView, model: ReportModel): string {
  const { fit, file } = view;
  const x = axisOf(file.x);
  const lastX = fit.xRange ? fit.xRange[1] * file.xUnit : null;
  if (fit.verdict === 'too-few-points')
    return 'Measure more checkpoints: the law has about as many parameters as there are points.';
  if (fit.verdict === 'not-converged')
    return 'Try another law (--law auto), or leave out the first points (--drop-first).';
  if (fit.law === 'constant')
    return 'No trend stands out from the noise: train longer, or measure more checkpoints.';
  const rivals = rivalLimits(view, model);
  if (fit.limit) {
    const [low, high] = fit.limit.interval;
    const open = low === null || high === null;
    const half = open ? Number.POSITIVE_INFINITY : (high - low) / 2;
    if (open || half > WIDE * Math.abs(fit.limit.estimate)) {
      const reach = fit.convergence.find(({ withinPercent }) => withinPercent === 5)?.x ?? null;
      const target =
        reach !== null && lastX !== null && reach > lastX ? reach : lastX === null ? null : lastX * 2;
      const far = target !== null && lastX !== null && target < lastX * 100;
      return `Train on${far ? ` to about ${formatValue(target, x.kind)} ${x.field}` : ''}: the data end where the curve still falls or rises, so the limit is an extrapolation.`;
    }
  }
  if (rivals)
    return `Read the comparison of laws: with nearly the same evidence, ${rivals} Longer runs tell them apart.`;
  const seeds = new Set(model.rows.filter((row) => row.label === view.label).map(({ row }) => row.seed));
  if (fit.verdict !== 'ok')
    return 'Use the limit and the curve; do not read the other parameters one by one.';
  return seeds.size <= 1
    ? 'Repeat with another seed: one run cannot show the spread between runs.'
    : 'Compare with other shapes and activations; the law is well determined here.';
}

/** Laws within this ΔAICc of the best have considerable support (Burnham & Anderson). */
const CONSIDERABLE = 2;

function rivalLimits(view: FitView, model: ReportModel): string {
  const { fit, file, label } = view;
  const ranking =
    file.comparison.find((entry) => JSON.stringify(entry.group) === JSON.stringify(fit.group))?.ranking ?? [];
  const y = axisOf(file.y);
  const close = model.fits.filter(
    (other) =>
      other.label === label &&
      other.file === file &&
      other.fit.law !== fit.law &&
      other.fit.limit !== null &&
      fit.limit !== null &&
      Math.abs(other.fit.limit.estimate - fit.limit.estimate) > WIDE * Math.abs(fit.limit.estimate) &&
      (ranking.find(({ law }) => law === other.fit.law)?.deltaAicc ?? Number.POSITIVE_INFINITY) <
        CONSIDERABLE,
  );
  const first = close[0];
  return first
    ? `the ${lawTitle(first.fit.law).toLowerCase()} puts the limit at ${formatValue(first.fit.limit!.estimate, y.kind)}.`
    : '';
}
