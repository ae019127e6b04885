import { findLaw } from '../laws/index.js';
import { median } from '../median.js';
import { groupBy } from '../table/group-by.js';
import { isNumber } from './chart.js';
import { parametersOf } from './curves.js';
import {
  countOf,
  formatCount,
  formatInterval,
  formatNumber,
  formatValue,
  formatWithin,
  listOf,
  type NumberKind,
} from './format.js';
import { formulaHtml } from './formula.js';
import { type Html, html, raw } from './html.js';
import { axisOf, type FitView, type ReportModel } from './model.js';
import { glyph, texName } from './sections.js';
import {
  ADVICE,
  type Advice,
  averagedLimitOf,
  hasPattern,
  howSure,
  isLimitKnown,
  lawSentence,
  lawTitle,
  NO_LAW,
  verdictOf,
  WIDE,
  whatNext,
} from './text.js';

/** More series than this are summed up and listed in a table instead of a card each: cards answer nothing in a minute. */
const MAX_CARDS = 4;
/** Rows of the table before the rest is folded away. */
const MAX_ROWS = 40;
/** More names than this in a sentence are counted. */
const MAX_NAMES = 5;

/** What is the law, how sure are we, what next. */
export function summarySection(
  model: ReportModel,
  { isStatic, maxSeries }: { isStatic: boolean; maxSeries: number },
): Html | null {
  const views = model.fits.filter((view) => view.isPreferred);
  if (views.length === 0) return null;
  const cards = html`<div class="cards">${
    views.length <= MAX_CARDS || !isStatic ? views.map((view) => card(view, model)) : []
  }</div>`;
  if (views.length <= MAX_CARDS) return html`<section id="summary"><h2>Summary</h2>${cards}</section>`;
  const rest = views.slice(MAX_ROWS, Math.max(MAX_ROWS, maxSeries));
  const advice = new Map(views.map((view) => [view, whatNext(view, model)]));
  return html`<section id="summary"><h2>Summary</h2><div class="brief">${[
    ['The law', theLaw(views)],
    ['How sure', certainty(views)],
    ['What next', steps(advice)],
  ].map(
    ([title, lines]) =>
      html`<div class="card"><h3>${title as string}</h3><ul>${(lines as Html[]).map((line) => html`<li>${line}</li>`)}</ul></div>`,
  )}</div>${table(views.slice(0, Math.min(MAX_ROWS, maxSeries)), advice, model)}${
    rest.length > 0 &&
    html`<details><summary>${rest.length} more series</summary>${table(rest, advice, model)}</details>`
  }${
    views.length > maxSeries &&
    html`<p class="note">The other ${views.length - maxSeries} series are in the page with script.</p>`
  }${
    !isStatic &&
    views.length <= MAX_ROWS &&
    html`<details><summary>One card a series: the law with its numbers, what supports it, what next</summary>${cards}</details>`
  }</section>`;
}

/** One line a quantity and family: which law, which way, to where. */
function theLaw(views: readonly FitView[]): Html[] {
  const families = groupBy(views, ({ file, activation }) => JSON.stringify([file.x, file.y, activation]));
  return [...families.values()].map((own) => {
    const { file, activation } = own[0]!;
    const y = axisOf(file.y);
    const byLaw = [...groupBy(own, ({ fit }) => fit.law)].sort((a, b) => b[1].length - a[1].length);
    const [law, most] = byLaw[0]!;
    const limits = own.flatMap(({ fit }) => (fit.limit ? [fit.limit.estimate] : []));
    const ways = new Set(own.map(direction).filter((way) => way !== ''));
    const way = ways.size === 1 ? [...ways][0]! : 'changes';
    const name = activation
      ? html`<strong>${activation}</strong> (${countOf(own.length, 'series', 'series')}): `
      : '';
    const share = most.length === own.length ? '' : ` for ${most.length} of ${own.length}`;
    const range =
      limits.length === 0
        ? ''
        : ` towards ${limits.length > 1 ? 'limits of ' : ''}${formatValue(Math.min(...limits), y.kind)}${limits.length > 1 ? ` to ${formatValue(Math.max(...limits), y.kind)}` : ''}`;
    return html`${name}${y.title.toLowerCase()} ${way}${range} as ${axisOf(file.x).title.toLowerCase()} grow. Best law${share}: ${lawTitle(law).toLowerCase()}, <span class="nowrap">${formulaHtml(findLaw(law)?.tex ?? law)}</span>`;
  });
}

function direction({ fit }: FitView): string {
  const law = findLaw(fit.law);
  const p = law && parametersOf(law, fit);
  if (!law || !p || !fit.xRange) return '';
  const [from, to] = fit.xRange.map((x) => law.value(x, p)) as [number, number];
  return to < from ? 'falls' : to > from ? 'rises' : '';
}

function certainty(views: readonly FitView[]): Html[] {
  const limited = views.filter(({ fit }) => fit.limit && fit.law !== NO_LAW);
  const unknown = limited.filter((view) => !isLimitKnown(view));
  const errors = views.flatMap(({ fit, file }) =>
    isNumber(fit.holdOut?.rmse) && axisOf(file.y).kind === 'share' ? [fit.holdOut.rmse] : [],
  );
  const moved = limited.filter(({ fit, file }) => {
    const averaged = averagedLimitOf(file, fit);
    if (!averaged) return false;
    const move = Math.abs(averaged.estimate - fit.limit!.estimate);
    // Beside what was measured: of a limit of 0 everything is more than 10%.
    return move > WIDE * Math.max(Math.abs(fit.limit!.estimate), WIDE * Math.abs(fit.yRange?.[1] ?? 0));
  });
  const followed = views.filter(({ fit }) => hasPattern(fit));
  const lines = [
    limited.length > 0 &&
      html`<strong>${limited.length - unknown.length} of ${limited.length} limits</strong> are known to within 10%${
        unknown.length > 0 ? ` (not: ${names(unknown)})` : ''
      }, if the law holds.`,
    moved.length > 0 &&
      html`The choice of the law moves the limit of ${names(moved)} by more than 10%: see the comparison of laws.`,
    errors.length > 0 &&
      html`Fitted to the first part alone, the laws forecast the last points to ${formatNumber(median(errors) * 100, 2)} percentage points (median).`,
    followed.length > 0 &&
      html`Residuals of ${names(followed)} follow one another: there the law misses something.`,
  ];
  return lines.filter((line) => line !== false);
}

/** Advice by kind, the most urgent first. */
function steps(advice: ReadonlyMap<FitView, Advice>): Html[] {
  const groups = groupBy([...advice], ([, { kind }]) => kind);
  return ADVICE.flatMap((kind) => {
    const own = groups.get(kind);
    if (!own) return [];
    const named = own.map(([view, { detail }]) => `${view.name}${detail && ` (${detail})`}`);
    return [html`<strong>${STEPS[kind].title}</strong>: ${shortList(named)}. ${STEPS[kind].why}`];
  });
}

const STEPS: Record<Advice['kind'], { title: string; why: string; short: string }> = {
  measure: {
    title: 'Measure more checkpoints',
    why: 'Too few points for the law.',
    short: 'more checkpoints',
  },
  'other-law': { title: 'Try another law', why: 'This one did not converge.', short: 'another law' },
  'train-on': {
    title: 'Train on',
    why: 'The data end where the curve still bends; the limit is an extrapolation.',
    short: 'train on',
  },
  'wider-range': {
    title: 'Widen the range',
    why: 'The points end where the curve still bends; what lies beyond is an extrapolation.',
    short: 'wider range',
  },
  rivals: {
    title: 'Compare the laws',
    why: 'Two with nearly the same evidence put the limit elsewhere; longer runs tell them apart.',
    short: 'compare laws',
  },
  'no-trend': { title: 'Train longer', why: 'No trend stands out from the noise.', short: 'train longer' },
  curve: {
    title: 'Read curve and limit only',
    why: 'The other parameters are not determined one by one.',
    short: 'read the curve',
  },
  seed: {
    title: 'Repeat with another seed',
    why: 'The law is well determined, but one run cannot show the spread between runs.',
    short: 'another seed',
  },
  compare: {
    title: 'Compare shapes and activations',
    why: 'The law is well determined.',
    short: 'other shapes',
  },
};

const names = (views: readonly FitView[]) => shortList(views.map(({ name }) => name));
const shortList = (items: readonly string[]) =>
  items.length > MAX_NAMES
    ? `${items.slice(0, MAX_NAMES).join(', ')} and ${items.length - MAX_NAMES} more`
    : listOf(items);

/** One row a series. */
function table(views: readonly FitView[], advice: ReadonlyMap<FitView, Advice>, model: ReportModel): Html {
  const averages = views.some(({ fit, file }) => averagedLimitOf(file, fit));
  const head = [
    'series',
    'law',
    `limit, ${Math.round(views[0]!.file.level * 100)}% interval`,
    ...(averages ? ['average over laws'] : []),
    'verdict',
    'forecast error',
    '5% from limit at',
    'next',
  ];
  const rows = views.map((view) => {
    const { fit, file, label, name } = view;
    const kind = axisOf(file.y).kind;
    const series = model.series.get(label);
    const averaged = averagedLimitOf(file, fit);
    const verdict = verdictOf(fit);
    const within = fit.convergence.find(({ withinPercent }) => withinPercent === 5)?.x;
    const { kind: step, detail } = advice.get(view)!;
    const rmse = fit.holdOut?.rmse;
    return html`<tr><th scope="row">${series ? glyph(series) : ''} ${name}</th><td>${lawTitle(fit.law)}</td><td class="num">${fit.limit ? withInterval(fit.limit, kind) : 'none'}</td>${
      averages && html`<td class="num">${averaged ? withInterval(averaged, kind) : '–'}</td>`
    }<td><span class="badge ${verdict.tone}">${verdict.words}</span></td><td class="num">${
      rmse == null ? '–' : kind === 'share' ? `${formatNumber(rmse * 100, 2)} pp` : formatNumber(rmse, 2)
    }</td><td class="num">${within == null ? '–' : formatValue(within * file.xUnit, axisOf(file.x).kind)}</td><td>${STEPS[step].short} ${detail}</td></tr>`;
  });
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Limits"><table><thead><tr>${head.map(
    (title, i) =>
      html`<th scope="col"${[2, averages ? 3 : -1, head.length - 3, head.length - 2].includes(i) ? raw(' class="num"') : ''}>${title}</th>`,
  )}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

const withInterval = (
  { estimate, interval }: { estimate: number; interval: readonly [number | null, number | null] },
  kind: NumberKind,
): Html =>
  html`<strong>${formatWithin(estimate, interval, kind)}</strong><br><span class="muted nowrap">${formatInterval(interval, kind)}</span>`;

function card(view: FitView, model: ReportModel): Html {
  const { fit, file, label, name } = view;
  const law = findLaw(fit.law);
  const kind = axisOf(file.y).kind;
  const verdict = verdictOf(fit);
  const series = model.series.get(label);
  const x = axisOf(file.x);
  const level = `${Math.round(file.level * 100)}% interval`;
  const averaged = averagedLimitOf(file, fit);
  const big =
    fit.limit && fit.law === NO_LAW
      ? html`<div class="big">${formatWithin(fit.limit.estimate, fit.limit.interval, kind)}<small>mean ${axisOf(file.y).title.toLowerCase()}, ${level} ${formatInterval(fit.limit.interval, kind)}; none of the laws tried does better than a constant</small></div>`
      : fit.limit
        ? html`<div class="big">${formatWithin(fit.limit.estimate, fit.limit.interval, kind)}<small>limit of ${axisOf(file.y).title.toLowerCase()}, ${level} ${formatInterval(fit.limit.interval, kind)}</small>${
            averaged &&
            html`<small>averaged over all laws ${formatWithin(averaged.estimate, averaged.interval, kind)} (${formatInterval(averaged.interval, kind)})</small>`
          }</div>`
        : html`<div class="big">no limit<small>this law has no finite limit as ${x.title.toLowerCase()} grow</small></div>`;
  const parameters = (law?.parameters ?? []).flatMap(({ name }) => {
    const value = fit.parameters[name]?.estimate;
    return value === undefined
      ? []
      : [html`<span class="nowrap">${formulaHtml(texName(name))} = ${formatNumber(value, 3)}</span>`];
  });
  return html`<article class="card" aria-label="${lawSentence(view)}"><div class="head"><h3>${series ? glyph(series) : ''}<span>${name}</span></h3><span class="badge ${verdict.tone}">${verdict.words}</span></div>${big}<dl><dt>The law: ${lawTitle(fit.law).toLowerCase()}</dt><dd>${law ? formulaHtml(fit.tex) : fit.formula}${
    x.field === 'tokens' && file.xUnit !== 1
      ? html` <span class="muted nowrap">x = tokens / ${formatCount(file.xUnit)}</span>`
      : ''
  }<br>${parameters.map((part, i) => html`${i > 0 ? ', ' : ''}${part}`)}</dd><dt>How sure</dt><dd>${howSure(view)}</dd><dt>What next</dt><dd>${whatNext(view, model).text}</dd></dl></article>`;
}
