import type { Fit, FitFile, ScaleTest } from '../files/fit.js';
import { findLaw } from '../laws/index.js';
import { groupBy } from '../table/group-by.js';
import { countOf, formatInterval, formatNumber, formatValue, formatWithin, listOf } from './format.js';
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
    ([words, own]) => `${own.length} ${words === NO_LAW_FOLLOWS ? `that ${words}` : words}`,
  );
  return `Laws fitted to ${countOf(points, 'point')} of ${countOf(views.length, 'series', 'series')}: ${listOf(verdicts)}.`;
}

/** Name of the law for people. */
export const lawTitle = (id: string) => findLaw(id)?.title ?? id;

export interface Verdict {
  words: string;
  tone: 'ok' | 'caution' | 'bad';
}

const NO_LAW_FOLLOWS = 'no law follows';
const VERDICTS: Record<Fit['verdict'], Verdict> = {
  ok: { words: 'well identified', tone: 'ok' },
  'weakly-identified': { words: 'weakly identified', tone: 'caution' },
  'at-bound': { words: 'at a bound', tone: 'caution' },
  'not-converged': { words: 'not converged', tone: 'bad' },
  'too-few-points': { words: 'too few points', tone: 'bad' },
};
export const verdictOf = ({ verdict, law }: { verdict: Fit['verdict']; law: string }): Verdict =>
  law === NO_LAW ? { words: NO_LAW_FOLLOWS, tone: 'caution' } : VERDICTS[verdict];

/** A constant is what is left where no law does better: its mean is not a limit that anything tends to. */
export const NO_LAW = 'constant';

/** One sentence a law: quantity, limit, interval, verdict. */
export function lawSentence(view: FitView): string {
  const { fit, file, name } = view;
  const y = axisOf(file.y);
  const x = axisOf(file.x);
  const points = countOf(fit.n, 'point');
  if (fit.law === NO_LAW) return `${name}: none of the laws tried does better than a constant (${points}).`;
  if (!fit.limit)
    return `${name}: ${lawTitle(fit.law)}, no finite limit (${points}, ${verdictOf(fit).words}).`;
  return (
    `${name}: ${y.title.toLowerCase()} tends to ${formatWithin(fit.limit.estimate, fit.limit.interval, y.kind)} ` +
    `(${Math.round(file.level * 100)}% interval ${formatInterval(fit.limit.interval, y.kind)}) as ${x.title.toLowerCase()} grow; ` +
    `${lawTitle(fit.law).toLowerCase()}, ${points}, ${verdictOf(fit).words}.`
  );
}

/** What supports the fit and what speaks against it. */
export function howSure({ fit, file }: FitView): string {
  const kind = axisOf(file.y).kind;
  const amount = (value: number) =>
    kind === 'share' ? `${formatNumber(value * 100, 2)} points` : formatNumber(value, 3);
  const chosen = comparisonOf(file, fit)?.chosen?.law;
  const parts = [
    fit.r2 !== null && `R² ${formatNumber(fit.r2, 4)} on ${countOf(fit.n, 'point')}`,
    fit.dropped > 0 && `${countOf(fit.dropped, 'leading point')} left out`,
    fit.holdOut?.rmse != null &&
      `forecast of the last ${formatNumber(fit.holdOut.fraction * 100, 2)}% errs by ${amount(fit.holdOut.rmse)}`,
    fit.durbinWatson !== null &&
      hasPattern(fit) &&
      `residuals follow one another (Durbin–Watson ${formatNumber(fit.durbinWatson, 2)}), a sign of misfit`,
    chosen !== undefined &&
      chosen !== fit.law &&
      `the ${lawTitle(chosen).toLowerCase()}, which has no limit, fits as well or better`,
  ].filter(Boolean);
  // Reasons begin with names of parameters, whose case is theirs: they go on after a semicolon.
  return `${[...parts, ...fit.reasons].join('; ')}.`;
}

/** The number behind "weakly dependent on scale". */
export function scaleSentence({ relativePerDecade, pValue, margin, verdict }: ScaleTest): string {
  const percent = (value: number | null) => (value === null ? '…' : `${formatNumber(value * 100, 2)}%`);
  const [low, high] = relativePerDecade.interval;
  const margins = `a margin of ±${formatNumber(margin * 100, 2)}%`;
  const words = {
    weak: `weak: within ${margins}`,
    strong: `strong: beyond ${margins}`,
    undecided: `undecided against ${margins}: too few or too uncertain limits`,
  }[verdict];
  return (
    `A factor of ten changes the limit by ${percent(relativePerDecade.estimate)} ` +
    `(${percent(low)} to ${percent(high)}; p = ${formatNumber(pValue, 2)} for no change); the dependence is ${words}.`
  );
}

export const comparisonOf = (file: FitFile, fit: Fit) =>
  file.comparison.find((entry) => JSON.stringify(entry.group) === JSON.stringify(fit.group));

/** The limit averaged over the laws; undefined where most of the evidence is for laws without one. */
export function averagedLimitOf(file: FitFile, fit: Fit) {
  const averaged = comparisonOf(file, fit)?.averagedLimit;
  return averaged && averaged.weightWithoutLimit < 0.5 ? averaged : undefined;
}

/** Residuals this much alike from point to point are hardly noise. */
export const hasPattern = ({ durbinWatson }: Fit) => durbinWatson !== null && durbinWatson < 1.2;

/** Half an interval wider than this share of the limit says little about where the curve ends. */
export const WIDE = 0.1;

/** Whether the limit is known to within 10% to either side. */
export function isLimitKnown({ fit }: FitView): boolean {
  if (!fit.limit) return false;
  const { estimate } = fit.limit;
  const [low, high] = fit.limit.interval;
  return (
    low !== null && high !== null && Math.max(high - estimate, estimate - low) <= WIDE * Math.abs(estimate)
  );
}

/** What a reader may do next, in the order of what stands in the way. */
export const ADVICE = [
  'measure',
  'other-law',
  'train-on',
  'wider-range',
  'rivals',
  'no-trend',
  'curve',
  'seed',
  'compare',
] as const;
export interface Advice {
  kind: (typeof ADVICE)[number];
  /** A sentence or two for one series. */
  text: string;
  /** What differs from series to series, for a list of them; empty where nothing does. */
  detail: string;
}

/** What would help most; rules, the first that holds. */
export function whatNext(view: FitView, model: ReportModel): Advice {
  const { fit, file } = view;
  const advice = (kind: Advice['kind'], text: string, detail = ''): Advice => ({ kind, text, detail });
  if (fit.verdict === 'too-few-points')
    return advice(
      'measure',
      'Measure more checkpoints: the law has about as many parameters as there are points.',
    );
  if (fit.verdict === 'not-converged')
    return advice('other-law', 'Try another law (--law auto), or leave out the first points (--drop-first).');
  if (fit.law === NO_LAW)
    return advice(
      'no-trend',
      hasPattern(fit)
        ? 'The points have a trend, but none of the laws tried follows it: try --law auto, leave out the first points (--drop-first), or train longer.'
        : 'No trend stands out from the noise: train longer, or measure more checkpoints.',
    );
  if (axisOf(file.x).field !== 'tokens' && !isLimitKnown(view)) {
    return advice(
      'wider-range',
      `Train models over a wider range of ${axisOf(file.x).title.toLowerCase()}: ${
        fit.limit
          ? 'the points end where the curve still falls or rises, so the limit is an extrapolation.'
          : 'no law with a limit does better over what was measured.'
      }`,
    );
  }
  if (!fit.limit) {
    return advice(
      'train-on',
      `Train on: no law with a limit does better over these ${axisOf(file.x).field}, so there is no telling yet where the curve ends.`,
    );
  }
  if (!isLimitKnown(view)) {
    const target = targetOf(view);
    return advice(
      'train-on',
      `Train on${target && ` to about ${target} ${axisOf(file.x).field}`}: the data end where the curve still falls or rises, so the limit is an extrapolation.`,
      target && `to ${target}`,
    );
  }
  const rival = rivalLimit(view, model);
  if (rival)
    return advice(
      'rivals',
      `Read the comparison of laws: with nearly the same evidence, ${rival}. Longer runs tell them apart.`,
    );
  if (fit.verdict !== 'ok')
    return advice('curve', 'Use the limit and the curve; do not read the other parameters one by one.');
  const seeds = new Set(model.rows.filter((row) => row.label === view.label).map(({ row }) => row.seed));
  return seeds.size <= 1
    ? advice('seed', 'Repeat with another seed: one run cannot show the spread between runs.')
    : advice('compare', 'Compare with other shapes and activations; the law is well determined here.');
}

/** Where the curve would be within 5% of its limit, or twice as far as now; empty where that is out of reach. */
function targetOf({ fit, file }: FitView): string {
  const last = fit.xRange ? fit.xRange[1] * file.xUnit : null;
  if (last === null) return '';
  const within = fit.convergence.find(({ withinPercent }) => withinPercent === 5)?.x;
  const reach = within == null ? null : within * file.xUnit;
  const target = reach !== null && reach > last ? reach : last * 2;
  return target < last * 100 ? formatValue(target, axisOf(file.x).kind) : '';
}

/** Laws within this ΔAICc of the best have considerable support (Burnham & Anderson). */
const CONSIDERABLE = 2;

function rivalLimit(view: FitView, model: ReportModel): string {
  const { fit, file, label } = view;
  const ranking = comparisonOf(file, fit)?.ranking ?? [];
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
    ? `the ${lawTitle(first.fit.law).toLowerCase()} puts the limit at ${formatValue(first.fit.limit!.estimate, y.kind)}`
    : '';
}
