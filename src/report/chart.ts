import { countOf, type NumberKind } from './format.js';
import { MARKERS, UI_COLORS } from './palette.js';
import type { Series } from './series.js';

/** A Vega-Lite specification or a part of one: plain JSON. The tests compile each without a warning. */
export type Spec = { readonly [key: string]: unknown };
export type Row = { [field: string]: string | number | boolean | null };

export interface TableField {
  field: string;
  title: string;
  kind: NumberKind | 'text';
}

/** A drawn chart: a specification with its data, and everything that stands around it. */
export interface Chart {
  /** File name and id of the element; unique on a page. */
  name: string;
  title: string;
  /** Sentences under the chart: what is drawn and what could not be. */
  caption: string;
  /** What a screen reader says in place of the picture, with numbers from the data. */
  alt: string;
  /** Width is the container's; data lie in `datasets`. */
  spec: Spec;
  /** The rows behind the chart, valid or not, as a table. */
  table: { fields: TableField[]; rows: Row[] };
  /** Series of the legend, in its order; empty when the chart has none. */
  legend: Series[];
  /** Axes that a reader may switch between linear and log. */
  switches: ('x' | 'y')[];
}

export interface Axis {
  field: string;
  title: string;
  kind: NumberKind;
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/** Looks of every chart: quiet axes, the data in front. The background is the page's. */
export const CHART_CONFIG: Spec = {
  background: 'transparent',
  font: FONT,
  padding: { left: 4, right: 10, top: 8, bottom: 4 },
  // The picture has one text alternative; a thousand labelled circles would drown it.
  aria: false,
  view: { stroke: null },
  axis: {
    labelColor: UI_COLORS.muted.light,
    titleColor: UI_COLORS.muted.light,
    gridColor: UI_COLORS.grid.light,
    domainColor: UI_COLORS.axis.light,
    tickColor: UI_COLORS.axis.light,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 500,
    titlePadding: 10,
    labelPadding: 6,
    tickSize: 4,
  },
  axisY: { domain: false, ticks: false },
  axisX: { grid: false },
  legend: {
    labelColor: UI_COLORS.ink.light,
    titleColor: UI_COLORS.muted.light,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 500,
    orient: 'bottom',
    direction: 'horizontal',
    columns: 6,
    symbolStrokeWidth: 2,
    labelLimit: 180,
    symbolLimit: 60,
  },
};

export const SCHEMA = 'https://vega.github.io/schema/vega-lite/v6.json';
export const CHART_HEIGHT = 340;

/** Everything of a spec that all charts share. */
export const baseSpec = (datasets: Record<string, Row[]>): Spec => ({
  $schema: SCHEMA,
  width: 'container',
  height: CHART_HEIGHT,
  config: CHART_CONFIG,
  datasets,
});

/** Labels of the series that a reader has switched off; the page's legend sets it. */
export const HIDDEN_PARAM: Spec = { name: 'hidden', value: [] };
/** Keeps the rows of series that are switched on; for each layer that has data of its own. */
export const SHOWN: Spec = { filter: 'indexof(hidden, datum.series) < 0' };

/** Writes names of series where the data have their labels; empty where the two are the same. */
export function nameLabels(series: readonly Series[]): { labelExpr?: string } {
  const other = series.filter(({ label, name }) => name !== label);
  if (other.length === 0) return {};
  const names = JSON.stringify(Object.fromEntries(other.map(({ label, name }) => [label, name])));
  return { labelExpr: `${names}[datum.label] || datum.label` };
}

/** Colour of the series; the legend is drawn only where a spec stands alone (figures, not the page). */
export function seriesColor(series: readonly Series[]): Spec {
  const legend = nameLabels(series);
  return {
    field: 'series',
    type: 'nominal',
    title: null,
    ...(legend.labelExpr ? { legend } : {}),
    scale: { domain: series.map(({ label }) => label), range: series.map(({ color }) => color.light) },
  };
}

/** Marker of the series' family; undefined where one family makes it needless. */
export function familyShape(series: readonly Series[]): { shape?: Spec } {
  const families = [...new Map(series.map(({ family, marker }) => [family, marker])).entries()];
  if (families.length < 2) return {};
  return {
    shape: {
      field: 'family',
      type: 'nominal',
      legend: null,
      scale: {
        domain: families.map(([family]) => family),
        range: families.map(([, marker]) => marker ?? MARKERS[0]),
      },
    },
  };
}

/** Vega expression that writes a number of a kind. */
export function formatExpression(value: string, kind: NumberKind): string {
  if (kind === 'share') return `format(${value}, '.3~%')`;
  if (kind === 'count') return `replace(format(${value}, '.3~s'), 'G', 'B')`;
  return `format(${value}, '.4~g')`;
}

/** 1, 2, 5 × powers of ten within the data, or powers alone over more than three decades. */
export function logTicks(values: readonly number[]): number[] {
  const positive = values.filter((value) => value > 0 && Number.isFinite(value));
  if (positive.length === 0) return [];
  const lo = positive.reduce((a, b) => Math.min(a, b));
  const hi = positive.reduce((a, b) => Math.max(a, b));
  const [from, to] = [Math.floor(Math.log10(lo)), Math.ceil(Math.log10(hi))];
  const steps = to - from > 4 ? [1] : to - from > 1 || hi / lo > 4 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  const ticks: number[] = [];
  for (let power = from; power <= to; power++) {
    for (const step of steps) {
      // From text, so that 3e-1 is 0.3 and not 0.30000000000000004.
      const tick = Number(`${step}e${power}`);
      if (tick >= lo * 0.999 && tick <= hi * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}

/** An axis on either scale. `values` are the data, for the ticks of a log axis. */
export function positionOf(
  axis: Axis,
  scale: 'linear' | 'log',
  values: readonly number[],
  options: { zero?: boolean; domain?: readonly number[] } = {},
): Spec {
  const ticks = scale === 'log' ? logTicks(values) : [];
  return {
    field: axis.field,
    type: 'quantitative',
    title: axis.title,
    scale: {
      type: scale,
      ...(scale === 'linear' ? { zero: options.zero ?? false } : {}),
      nice: false,
      ...(options.domain ? { domain: options.domain } : {}),
    },
    axis: {
      labelExpr: formatExpression('datum.value', axis.kind),
      labelOverlap: 'greedy',
      labelSeparation: 4,
      ...(ticks.length > 1 ? { values: ticks } : { tickCount: 6 }),
    },
  };
}

/** Both forms of the switchable axes; the page puts one in the place of the other. */
export const axisForms = (forms: { x?: [Spec, Spec]; y?: [Spec, Spec] }): Spec => ({
  axes: Object.fromEntries(
    Object.entries(forms).map(([channel, [linear, log]]) => [channel, { linear, log }]),
  ),
});

export const tooltipOf = (fields: readonly (Axis | { field: string; title: string })[]): Spec[] =>
  fields.map((field) =>
    'kind' in field
      ? { field: field.field, type: 'quantitative', title: field.title, ...tooltipFormat(field.kind) }
      : { field: field.field, type: 'nominal', title: field.title },
  );

/** d3-format has no B for 1e9: counts are written out with thousands separators. */
function tooltipFormat(kind: NumberKind): Spec {
  if (kind === 'share') return { format: '.4~%' };
  return { format: kind === 'count' ? ',.0f' : '.6~g' };
}

export interface Split<T> {
  valid: T[];
  excluded: T[];
}

/** Rows that can be drawn and rows that cannot. */
export function split<T>(rows: readonly T[], drawable: (row: T) => boolean): Split<T> {
  const valid: T[] = [];
  const excluded: T[] = [];
  for (const row of rows) (drawable(row) ? valid : excluded).push(row);
  return { valid, excluded };
}

export const isNumber = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value);
export const isPositive = (value: unknown): value is number => isNumber(value) && value > 0;

/** ` 3 rows without a value are not drawn.`, or nothing when there are none. */
export const excludedNote = (count: number, why: string) =>
  count === 0 ? '' : ` ${countOf(count, 'row')} ${why} ${count === 1 ? 'is' : 'are'} not drawn.`;

/** Joins sentences that may be empty. */
export const sentences = (...parts: (string | false | null | undefined)[]) =>
  parts
    .filter((part): part is string => Boolean(part))
    .map((part) => part.trim().replace(/\.\.$/, '.'))
    .join(' ');
