import {
  type Axis,
  baseSpec,
  type Chart,
  excludedNote,
  formatExpression,
  HIDDEN_PARAM,
  isNumber,
  nameLabels,
  type Row,
  SHOWN,
  sentences,
  seriesColor,
  split,
  tooltipOf,
} from '../chart.js';
import { countOf, formatValue, listOf } from '../format.js';
import { UI_COLORS } from '../palette.js';
import type { Series } from '../series.js';

export interface LawLimitRow extends Row {
  series: string;
  /** Name of the law for people. */
  law: string;
  /** null for a law without a limit. */
  limit: number | null;
  low: number | null;
  high: number | null;
  deltaAicc: number | null;
  /** Weight of the evidence among the laws tried, from 0 to 1. */
  weight: number | null;
}

export interface LawLimitsInput {
  name: string;
  /** The fitted quantity; `field` is not used. */
  y: Axis;
  rows: readonly LawLimitRow[];
  series: readonly Series[];
}

/** The row of a series that is no law's own limit but the mean of all by their weight. */
export const AVERAGE = 'Average over the laws';
const STEP = 40;
/** Laws of less weight do not stretch the axis. */
const NEGLIGIBLE = 0.01;
/** Marker of each law, in the order in which laws first appear. */
const SHAPES = [
  'circle',
  'square',
  'triangle-up',
  'diamond',
  'cross',
  'triangle-down',
  'triangle-right',
  'triangle-left',
];

/** The limit that each law gives the same data: their spread is what no single law's interval tells. */
export function lawLimits({ name, y, rows, series }: LawLimitsInput): Chart {
  const { valid, excluded } = split(rows, (row) => isNumber(row.limit));
  const laws = [...new Set(valid.map((row) => row.law))];
  const shown = series.filter(({ label }) => valid.some((row) => row.series === label));
  // An interval that is open or huge would squeeze the rest: the axis follows the estimates that count.
  // Where no limit of a series counts, its weightiest does: a row should not be empty.
  const most = new Map<string, number>();
  for (const { series: label, weight } of valid) most.set(label, Math.max(most.get(label) ?? 0, weight ?? 0));
  const backed = valid.filter(
    (row) => row.weight === null || row.weight >= Math.min(NEGLIGIBLE, most.get(row.series)!),
  );
  const domain = focus(
    (backed.length > 0 ? backed : valid).map((row) => row.limit as number),
    y.kind,
  );
  const outside = valid.filter(
    (row) => (row.limit as number) < domain[0] || (row.limit as number) > domain[1],
  ).length;
  const limit: Axis = { ...y, field: 'limit', title: `Limit of ${y.title.toLowerCase()}` };
  const position = {
    field: 'series',
    type: 'nominal',
    title: null,
    sort: shown.map(({ label }) => label),
    // Space between the rows tells which markers belong together.
    scale: { paddingInner: 0.4, paddingOuter: 0.2 },
  };
  const scale = { zero: false, nice: false, domain };
  return {
    name,
    title: 'The limit under each law',
    caption: sentences(
      'One row a series, one marker a law; lines are intervals of the limit, strong markers carry the weight of the evidence (AICc).',
      laws.includes(AVERAGE) &&
        'The average takes each law by its weight; its interval holds their disagreement.',
      'Where markers of weight lie far apart, the choice of the law moves the limit more than the noise does.',
      outside > 0 &&
        `${countOf(outside, 'limit')} ${outside === 1 ? 'lies' : 'lie'} beyond the axis, of laws without weight${y.kind === 'share' ? ' or where no share can be' : ''}.`,
      excludedNote(excluded.length, 'of laws without a finite limit'),
    ),
    alt: `Limits by law. ${shown
      .slice(0, 12)
      .map(({ label, name }) => {
        const own = valid.filter((row) => row.series === label);
        return `${name}: ${listOf(own.map((row) => `${row.law} ${formatValue(row.limit, y.kind)}`))}`;
      })
      .join('; ')}.`,
    spec: {
      ...baseSpec({ limits: valid }),
      height: STEP * Math.max(1, shown.length),
      params: [HIDDEN_PARAM],
      data: { name: 'limits' },
      transform: [SHOWN],
      encoding: {
        y: {
          ...position,
          axis: { domain: false, ticks: false, grid: true, labelLimit: 220, ...nameLabels(shown) },
        },
        color: { ...seriesColor(series), legend: null },
        opacity: {
          field: 'weight',
          type: 'quantitative',
          legend: null,
          scale: { domain: [0, 1], range: [0.25, 1] },
        },
        yOffset: { field: 'law', type: 'nominal', sort: laws, scale: { domain: laws } },
      },
      layer: [
        {
          // Ends far beyond the axis are cut at it: coordinates of 1e300 break some readers of SVG.
          transform: [
            { filter: 'isValid(datum.low) && isValid(datum.high)' },
            { calculate: `clamp(datum.low, ${domain[0]}, ${domain[1]})`, as: 'from' },
            { calculate: `clamp(datum.high, ${domain[0]}, ${domain[1]})`, as: 'to' },
          ],
          mark: { type: 'rule', clip: true },
          encoding: { x: { field: 'from', type: 'quantitative', scale }, x2: { field: 'to' } },
        },
        {
          mark: { type: 'point', filled: true, size: 46, clip: true },
          encoding: {
            x: {
              field: 'limit',
              type: 'quantitative',
              title: limit.title,
              scale,
              axis: { grid: true, tickCount: 6, labelExpr: formatExpression('datum.value', y.kind) },
            },
            shape: {
              field: 'law',
              type: 'nominal',
              title: null,
              legend: {
                // Two would be cut off on a phone; a number that follows the width changes after the height is laid out.
                columns: 1,
                labelLimit: 220,
                symbolFillColor: UI_COLORS.muted.light,
                symbolOpacity: 1,
              },
              sort: laws,
              scale: { domain: laws, range: laws.map((_, i) => SHAPES[i % SHAPES.length]!) },
            },
            tooltip: tooltipOf([
              { field: 'series', title: 'series' },
              { field: 'law', title: 'law' },
              limit,
              { ...y, field: 'low', title: 'from' },
              { ...y, field: 'high', title: 'to' },
              { field: 'deltaAicc', title: 'ΔAICc', kind: 'plain' },
              { field: 'weight', title: 'weight', kind: 'share' },
            ]),
          },
        },
      ],
    },
    table: {
      fields: [
        { field: 'series', title: 'series', kind: 'text' },
        { field: 'law', title: 'law', kind: 'text' },
        { field: 'limit', title: 'limit', kind: y.kind },
        { field: 'low', title: 'from', kind: y.kind },
        { field: 'high', title: 'to', kind: y.kind },
        { field: 'deltaAicc', title: 'ΔAICc', kind: 'plain' },
        { field: 'weight', title: 'weight', kind: 'share' },
      ],
      rows: [...rows],
    },
    legend: [],
    switches: [],
  };
}

/** The range of the estimates with room for their intervals. */
function focus(all: readonly number[], kind: Axis['kind']): [number, number] {
  // No share is negative or above 1: a law that says so is beyond the axis.
  const values = kind === 'share' ? all.filter((value) => value >= 0 && value <= 1) : all;
  if (values.length === 0) return [0, 1];
  const lo = values.reduce((a, b) => Math.min(a, b));
  const hi = values.reduce((a, b) => Math.max(a, b));
  const room = (hi - lo || Math.abs(hi) || 1) * 0.15;
  return [lo >= 0 ? Math.max(0, lo - room) : lo - room, hi + room];
}

/** How many series the chart shows legibly. */
export const MAX_LAW_SERIES = 40;

/** Of many series, those whose laws disagree most, and how many were left to the table. */
export function mostDisputed(rows: readonly LawLimitRow[], max = MAX_LAW_SERIES) {
  const spread = new Map<string, number>();
  for (const label of new Set(rows.map((row) => row.series))) {
    const limits = rows
      .filter((row) => row.series === label && isNumber(row.limit))
      .map((row) => row.limit as number);
    spread.set(label, limits.length > 0 ? Math.max(...limits) - Math.min(...limits) : 0);
  }
  const labels = [...spread].sort((a, b) => b[1] - a[1]).map(([label]) => label);
  const kept = new Set(labels.slice(0, max));
  return {
    rows: rows.filter((row) => kept.has(row.series)),
    left: countOf(Math.max(0, labels.length - max), 'series', 'series'),
  };
}
