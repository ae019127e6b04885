import { findLaw } from '../laws/index.js';
import { groupBy } from '../table/group-by.js';
import { isNumber, split } from './chart.js';
import { type ChartGroup, seriesOf, slug } from './chart-groups.js';
import { type CurveRow, fittedCurves, type LimitRow, type PointRow } from './charts/fitted-curves.js';
import { AVERAGE, type LawLimitRow, lawLimits, mostDisputed } from './charts/law-limits.js';
import { type LimitCurveRow, type LimitPointRow, limitBySize } from './charts/limit-by-size.js';
import { residuals } from './charts/residuals.js';
import { curveOf } from './curves.js';
import { axisOf, type FitView, type ReportModel } from './model.js';
import { averagedLimitOf, comparisonOf, scaleSentence } from './text.js';

const isLimitFit = ({ file }: FitView) => file.y === 'limit';
const familyOf = (model: ReportModel, label: string) => model.series.get(label)?.family ?? '';

/** Groups of charts about fitted laws. */
export function trainingFits(model: ReportModel): ChartGroup[] {
  const fits = model.fits.filter((view) => view.isPreferred && !isLimitFit(view));
  const panels = groupBy(fits, ({ file }) => JSON.stringify([file.x, file.y]));
  return [...panels.values()].map((views) => {
    const { file } = views[0]!;
    const [x, y] = [axisOf(file.x), axisOf(file.y)];
    const points: PointRow[] = views.flatMap((view) => pointsOf(model, view));
    const families = familyPanels(points);
    const charts = families.flatMap((labels) => {
      const own = views.filter(({ label }) => labels.has(label));
      const series = seriesOf(
        model.series,
        own.map(({ label }) => label),
      );
      const family = new Set(series.map((entry) => entry.family));
      const name = families.length > 1 ? `-${slug([...family].join('-')) || 'other'}` : '';
      const suffix = families.length > 1 && [...family][0] ? `: ${[...family].join(', ')}` : '';
      const curves: CurveRow[] = own.flatMap((view) =>
        curveOf(view.label, view.fit, view.file, own.length > CROWD),
      );
      const limits: LimitRow[] = own.flatMap(({ label, fit }) =>
        fit.limit && isNumber(fit.limit.estimate) ? [{ series: label, limit: fit.limit.estimate }] : [],
      );
      const without = own.length - new Set(curves.map((row) => row.series)).size;
      const main = fittedCurves({
        name: `${slug(file.y)}${name}`,
        title: `${y.title} against ${x.title.toLowerCase()}${suffix}`,
        x,
        y,
        points: points.filter((row) => labels.has(row.series)),
        curves,
        limits,
        series,
        level: file.level,
        notes: without > 0 ? `${without} series without a usable fit are drawn as points only.` : '',
      });
      const rest = residuals({
        name: `residuals-${slug(file.y)}${name}`,
        x,
        unit: y.kind === 'share' ? 'Residual (percentage points)' : 'Residual',
        rows: own.flatMap((view) => residualsOf(model, view, y.kind === 'share' ? 100 : 1)),
        series,
      });
      return rest.table.rows.length > 0 ? [main, rest] : [main];
    });
    return {
      id: slug(file.y),
      title: `${y.title} against ${x.title.toLowerCase()}`,
      intro: '',
      charts: [
        ...charts.filter((c) => !c.name.startsWith('residuals')),
        ...charts.filter((c) => c.name.startsWith('residuals')),
      ],
    };
  });
}

/** Points of the fit; a brief file holds none, then the rows of the table that carry the same series. */
function pointsOf(model: ReportModel, { label, fit, file }: FitView): PointRow[] {
  const family = familyOf(model, label);
  if (fit.points) {
    return fit.points.x.map((x, i) => ({ series: label, family, x: x * file.xUnit, y: fit.points!.y[i]! }));
  }
  const own = model.rows.filter((entry) => entry.label === label);
  const primary = own.some(({ row }) => row.metric === 'pplp')
    ? own.filter(({ row }) => row.metric === 'pplp')
    : own;
  return primary.map(({ row }) => ({
    series: label,
    family,
    x: numberOf(row, file.x),
    y: numberOf(row, file.y),
  }));
}

function numberOf(row: object, column: string): number | null {
  const value = (row as Record<string, unknown>)[column];
  return isNumber(value) ? value : null;
}

function residualsOf(model: ReportModel, { label, fit, file }: FitView, scale: number) {
  if (!fit.points) return [];
  const family = familyOf(model, label);
  return fit.points.x.map((x, i) => ({
    series: label,
    family,
    x: x * file.xUnit,
    residual: fit.points!.residual[i]! * scale,
  }));
}

/** Families whose values lie far apart (ReLU near 7 %, SiLU near 38 %) get an axis each; else one for all. */
function familyPanels(points: readonly PointRow[]): Set<string>[] {
  const drawable = split(points, (row) => isNumber(row.y)).valid;
  const families = [...groupBy(drawable, (row) => row.family).values()];
  const range = (rows: readonly PointRow[]) => {
    const ys = rows.map((row) => row.y as number);
    return ys.reduce((a, b) => Math.max(a, b), -Infinity) - ys.reduce((a, b) => Math.min(a, b), Infinity);
  };
  const smallest = families.reduce((least, rows) => Math.min(least, range(rows)), Infinity);
  const labels = (rows: readonly PointRow[]) => new Set(rows.map((row) => row.series));
  return range(points.filter((row) => isNumber(row.y))) > FAR_APART * smallest && families.length > 1
    ? families.map(labels)
    : [labels(points)];
}
const FAR_APART = 5;
/** Curves of one chart from which on bands would only hide each other. */
const CROWD = 40;

export function limitsByLaw(model: ReportModel): ChartGroup | null {
  const views = model.fits.filter((view) => !isLimitFit(view));
  const several = new Set(
    [...groupBy(views, ({ label }) => label)].filter(([, own]) => own.length > 1).map(([label]) => label),
  );
  if (several.size === 0) return null;
  const all: LawLimitRow[] = views
    .filter(({ label, fit }) => several.has(label) && Object.keys(fit.parameters).length > 0)
    .map(({ label, fit, file }) => {
      const ranking = comparisonOf(file, fit)?.ranking.find(({ law }) => law === fit.law);
      return {
        series: label,
        law: findLaw(fit.law)?.title ?? fit.law,
        limit: fit.limit?.estimate ?? null,
        low: fit.limit?.interval[0] ?? null,
        high: fit.limit?.interval[1] ?? null,
        deltaAicc: ranking?.deltaAicc ?? null,
        weight: ranking?.weight ?? null,
      };
    });
  all.push(...averagedLimits(views.filter(({ label, isPreferred }) => isPreferred && several.has(label))));
  const { rows, left } = mostDisputed(all);
  const y = axisOf(views[0]!.file.y);
  const panels = familyPanels(
    rows.map((row) => ({ ...row, family: familyOf(model, row.series), x: 1, y: row.limit })),
  );
  const charts = panels.map((labels) => {
    const own = rows.filter((row) => labels.has(row.series));
    const family = familyOf(model, own[0]?.series ?? '');
    const chart = lawLimits({
      name: panels.length > 1 ? `limits-by-law-${slug(family) || 'other'}` : 'limits-by-law',
      y,
      rows: own,
      series: seriesOf(
        model.series,
        own.map((row) => row.series),
      ),
    });
    if (panels.length > 1 && family) chart.title += `: ${family}`;
    if (!left.startsWith('0 '))
      chart.caption += ` The series with the widest spread are drawn; ${left} are not.`;
    return chart;
  });
  return { id: 'laws', title: 'Comparison of laws', intro: '', charts };
}

/** What all laws of a series say together, each by its weight. */
const averagedLimits = (views: readonly FitView[]): LawLimitRow[] =>
  views.flatMap(({ label, fit, file }) => {
    const averaged = averagedLimitOf(file, fit);
    if (!averaged) return [];
    const [low, high] = averaged.interval;
    return [
      {
        series: label,
        law: AVERAGE,
        limit: averaged.estimate,
        low,
        high,
        deltaAicc: null,
        weight: 1 - averaged.weightWithoutLimit,
      },
    ];
  });

export function bySize(
  model: ReportModel,
  column: 'params_non_embedding' | 'width_depth_ratio',
  id: string,
  title: string,
): ChartGroup | null {
  const views = model.fits.filter((view) => view.isPreferred && !isLimitFit(view) && view.fit.limit);
  const byRun = new Map(model.rows.map(({ label, row }) => [label, row[column]]));
  const rows: LimitPointRow[] = views.map((view) => ({
    series: view.label,
    family: familyOf(model, view.label),
    x:
      column === 'params_non_embedding'
        ? (view.size ?? byRun.get(view.label) ?? null)
        : (byRun.get(view.label) ?? null),
    limit: view.fit.limit!.estimate,
    low: view.fit.limit!.interval[0],
    high: view.fit.limit!.interval[1],
  }));
  // A picture of a dependence needs at least three places.
  if (new Set(rows.flatMap((row) => (isNumber(row.x) ? [row.x] : []))).size < 3) return null;
  const families = groupBy(rows, (row) => row.family);
  const charts = familyPanels(rows.map((row) => ({ ...row, y: row.limit }))).map((labels) => {
    const own = rows.filter((row) => labels.has(row.series));
    const family = own[0]?.family ?? '';
    const split = families.size > 1 && own.length < rows.length;
    const shown = views.filter(({ label }) => labels.has(label));
    return limitBySize({
      name: split ? `limit-${id}-${slug(family) || 'other'}` : `limit-${id}`,
      title: split && family ? `${title}: ${family}` : title,
      x: axisOf(column),
      y: axisOf(views[0]!.file.y),
      rows: own,
      ...overlay(model, column, shown),
      series: seriesOf(
        model.series,
        own.map((row) => row.series),
      ),
    });
  });
  return { id, title, intro: '', charts };
}

/** Laws of the drawn limits themselves: fits whose table is the fit that the limits come from. */
function overlay(model: ReportModel, column: string, shown: readonly FitView[]) {
  const sources = new Set(shown.map(({ sourceSha256 }) => sourceSha256));
  const laws = model.fits.filter(
    (view) =>
      isLimitFit(view) && view.isPreferred && view.file.x === column && sources.has(view.file.table.sha256),
  );
  const curves: LimitCurveRow[] = laws.flatMap((view) =>
    curveOf(view.label, view.fit, view.file)
      .filter((row) => row.part === 'fitted')
      .map(({ x, y }) => ({ curve: view.label, x, y })),
  );
  const bottlenecks = laws.flatMap(({ fit, file }) => {
    const k = fit.law === 'piecewise-linear' ? fit.parameters.k : undefined;
    if (!k) return [];
    const unit = (value: number | null) => (value === null ? null : value * file.xUnit);
    return [{ x: k.estimate * file.xUnit, low: unit(k.interval[0]), high: unit(k.interval[1]) }];
  });
  const files = new Set(laws.map(({ file }) => file));
  const notes = [...files].flatMap(({ scaleTests }) => scaleTests.map(scaleSentence)).join(' ');
  return { curves, bottlenecks, notes };
}
