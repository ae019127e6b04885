import { findLaw } from '../laws/index.js';
import { groupBy } from '../table/group-by.js';
import { type Chart, isNumber, split } from './chart.js';
import { type CurveRow, fittedCurves, type LimitRow, type PointRow } from './charts/fitted-curves.js';
import { type LawLimitRow, lawLimits, mostDisputed } from './charts/law-limits.js';
import { checkpointLabel, layerHeatmap } from './charts/layer-heatmap.js';
import { type LimitCurveRow, type LimitPointRow, limitBySize } from './charts/limit-by-size.js';
import { metricsOverTokens } from './charts/metrics-over-tokens.js';
import { pareto } from './charts/pareto.js';
import { residuals } from './charts/residuals.js';
import { type LossRow, trainingLoss } from './charts/training-loss.js';
import { curveOf } from './curves.js';
import { scoreGroup } from './evaluations.js';
import { compareNatural } from './format.js';
import { axisOf, type FitView, type ReportModel, settingOf } from './model.js';
import type { Series } from './series.js';

/** Charts of one section; several stand in a grid. */
export interface ChartGroup {
  id: string;
  title: string;
  intro: string;
  charts: Chart[];
}

const slug = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40);

const isLimitFit = ({ file }: FitView) => file.y === 'limit';
const seriesOf = (model: ReportModel, labels: Iterable<string>): Series[] => {
  const wanted = new Set(labels);
  return [...model.series.values()].filter(({ label }) => wanted.has(label));
};
const familyOf = (model: ReportModel, label: string) => model.series.get(label)?.family ?? '';

/** Every group of charts whose data are there, in the order of the page. */
export function chartGroups(model: ReportModel): ChartGroup[] {
  const groups = [
    ...trainingFits(model),
    limitsByLaw(model),
    bySize(model, 'params_non_embedding', 'scale', 'Limit against scale'),
    bySize(model, 'width_depth_ratio', 'shape', 'Limit against width and depth'),
    metrics(model),
    paretoFronts(model),
    scoreGroup(model.sources.evaluations),
    layers(model),
    losses(model),
  ];
  return uniqueNamesOf(
    groups.filter((group): group is ChartGroup => group !== null && group.charts.length > 0),
  );
}

/** Names are ids on the page and file names: a repeated one gets a number. */
function uniqueNamesOf(groups: ChartGroup[]): ChartGroup[] {
  const used = new Map<string, number>();
  for (const chart of groups.flatMap((group) => group.charts)) {
    const count = (used.get(chart.name) ?? 0) + 1;
    used.set(chart.name, count);
    if (count > 1) chart.name = `${chart.name}-${count}`;
  }
  return groups;
}

function trainingFits(model: ReportModel): ChartGroup[] {
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
        model,
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

function limitsByLaw(model: ReportModel): ChartGroup | null {
  const views = model.fits.filter((view) => !isLimitFit(view));
  const several = new Set(
    [...groupBy(views, ({ label }) => label)].filter(([, own]) => own.length > 1).map(([label]) => label),
  );
  if (several.size === 0) return null;
  const all: LawLimitRow[] = views
    .filter(({ label, fit }) => several.has(label) && Object.keys(fit.parameters).length > 0)
    .map(({ label, fit, file }) => {
      const ranking = file.comparison
        .find((entry) => JSON.stringify(entry.group) === JSON.stringify(fit.group))
        ?.ranking.find(({ law }) => law === fit.law);
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
        model,
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

function bySize(
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
  const overlays = model.fits.filter(
    (view) => isLimitFit(view) && view.isPreferred && view.file.x === column,
  );
  const curves: LimitCurveRow[] = overlays.flatMap((view) =>
    curveOf(view.label, view.fit, view.file)
      .filter((row) => row.part === 'fitted')
      .map(({ x, y }) => ({ curve: view.label, x, y })),
  );
  const bottlenecks = overlays.flatMap(({ fit, file }) => {
    const k = fit.law === 'piecewise-linear' ? fit.parameters.k : undefined;
    if (!k) return [];
    const unit = (value: number | null) => (value === null ? null : value * file.xUnit);
    return [{ x: k.estimate * file.xUnit, low: unit(k.interval[0]), high: unit(k.interval[1]) }];
  });
  const notes = overlays
    .flatMap(({ file }) => file.scaleTests)
    .map((test) => `Dependence on scale: ${test.verdict}.`)
    .join(' ');
  const families = groupBy(rows, (row) => row.family);
  const charts = familyPanels(rows.map((row) => ({ ...row, y: row.limit }))).map((labels) => {
    const own = rows.filter((row) => labels.has(row.series));
    const family = own[0]?.family ?? '';
    const split = families.size > 1 && own.length < rows.length;
    return limitBySize({
      name: split ? `limit-${id}-${slug(family) || 'other'}` : `limit-${id}`,
      title: split && family ? `${title}: ${family}` : title,
      x: axisOf(column),
      y: axisOf(views[0]!.file.y),
      rows: own,
      curves,
      bottlenecks,
      series: seriesOf(
        model,
        own.map((row) => row.series),
      ),
      notes,
    });
  });
  return { id, title, intro: '', charts };
}

function metrics(model: ReportModel): ChartGroup | null {
  const charts = [...groupBy(model.rows, ({ label }) => label)]
    .sort(([a], [b]) => compareNatural(a, b))
    .flatMap(([label, entries]) => {
      const rows = entries.map(({ row }) => ({
        setting: settingOf(row),
        tokens: row.tokens,
        activationRatio: row.activation_ratio,
      }));
      const fitted = model.fits.some((view) => view.label === label);
      const settings = new Set(rows.map((row) => row.setting)).size;
      const checkpoints = new Set(rows.map((row) => row.tokens)).size;
      if (checkpoints < 2 || (settings < 2 && fitted) || !rows.some((row) => isNumber(row.activationRatio)))
        return [];
      return [metricsOverTokens({ name: `metrics-${slug(label)}`, run: label, rows })];
    });
  return {
    id: 'metrics',
    title: 'Activation ratio under each metric',
    intro: 'What counts as an active neuron is a choice; level and even direction of the trend depend on it.',
    charts,
  };
}

function paretoFronts(model: ReportModel): ChartGroup | null {
  const charts = [...groupBy(model.rows, ({ label }) => label)]
    .sort(([a], [b]) => compareNatural(a, b))
    .flatMap(([label, entries]) => {
      const last = entries.reduce((most, { row }) => Math.max(most, row.tokens ?? -1), -1);
      const own = entries.filter(({ row }) => (row.tokens ?? -1) === last && row.ppl_sparse !== null);
      if (new Set(own.map(({ row }) => settingOf(row))).size < 3) return [];
      return [
        pareto({
          name: `pareto-${slug(label)}`,
          run: label,
          rows: own.map(({ row }) => ({
            metric: row.metric ?? '',
            setting: settingOf(row),
            activationRatio: row.activation_ratio,
            perplexity: row.ppl_sparse,
          })),
          densePerplexity: own.find(({ row }) => row.ppl_dense !== null)?.row.ppl_dense ?? null,
        }),
      ];
    });
  return {
    id: 'pareto',
    title: 'Perplexity against activation ratio',
    intro: 'Every metric at the last checkpoint of a run.',
    charts,
  };
}

function layers(model: ReportModel): ChartGroup | null {
  const charts = model.sources.runs.flatMap((run) => {
    const bySetting = [
      ...groupBy(run.measurements, (m) => `${m.metric} ${m.pPercent ?? ''} ${m.settingsHash}`).values(),
    ];
    // One map a run: the metric that the laws are fitted to, else the one measured at most checkpoints.
    const rank = (own: (typeof bySetting)[number]) => (own[0]!.metric === 'pplp' ? 1e6 : 0) + own.length;
    const measured = bySetting.sort((a, b) => rank(b) - rank(a))[0];
    if (!measured) return [];
    return [
      layerHeatmap({
        name: `layers-${slug(run.id)}`,
        run: run.id,
        setting: measured[0]!.definition,
        rows: measured.flatMap((m) =>
          m.layers.map((layer) => ({
            layer: layer.layer,
            tokens: m.tokens,
            checkpoint: checkpointLabel(m.tokens, m.checkpoint),
            activationRatio: layer.activationRatio,
          })),
        ),
      }),
    ];
  });
  return { id: 'layers', title: 'Activation ratio of each layer', intro: '', charts };
}

/** Points of one training curve; more are averaged, which is said in the caption. */
const LOSS_POINTS = 240;

function losses(model: ReportModel): ChartGroup | null {
  const runs = model.sources.runs.filter(({ metrics }) => metrics.length > 0);
  if (runs.length === 0) return null;
  const longest = runs.reduce((most, { metrics }) => Math.max(most, metrics.length), 0);
  const averaged = Math.max(1, Math.ceil(longest / LOSS_POINTS));
  const rows: LossRow[] = runs.flatMap(({ id, metrics }) => {
    const steps = metrics.flatMap((row) => ('loss_nats_per_token' in row ? [row] : []));
    const training: LossRow[] = [];
    for (let i = 0; i < steps.length; i += averaged) {
      const bin = steps.slice(i, i + averaged);
      const mean = (read: (row: (typeof bin)[number]) => number) =>
        bin.reduce((sum, row) => sum + read(row), 0) / bin.length;
      training.push({
        series: id,
        tokens: mean((r) => r.tokens),
        loss: mean((r) => r.loss_nats_per_token),
        kind: 'training',
      });
    }
    const validation = metrics.flatMap((row): LossRow[] =>
      'validation_loss_nats_per_token' in row
        ? [{ series: id, tokens: row.tokens, loss: row.validation_loss_nats_per_token, kind: 'validation' }]
        : [],
    );
    return [...training, ...validation];
  });
  const chart = trainingLoss({
    name: 'training-loss',
    rows,
    series: seriesOf(
      model,
      runs.map(({ id }) => id),
    ),
    averaged,
  });
  return { id: 'training', title: 'Training', intro: '', charts: [chart] };
}
