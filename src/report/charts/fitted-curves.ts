import {
  type Axis,
  axisForms,
  baseSpec,
  type Chart,
  excludedNote,
  familyShape,
  HIDDEN_PARAM,
  isNumber,
  isPositive,
  positionOf,
  type Row,
  SHOWN,
  type Spec,
  sentences,
  seriesColor,
  split,
  tooltipOf,
} from '../chart.js';
import { countOf, formatValue, listOf } from '../format.js';
import { namer, type Series } from '../series.js';

export interface PointRow extends Row {
  series: string;
  family: string;
  x: number | null;
  y: number | null;
}

export interface CurveRow extends Row {
  series: string;
  x: number;
  y: number;
  /** Ends of the confidence band; null where the fit has no covariance. */
  low: number | null;
  high: number | null;
  /** `fitted` within the data, `extrapolated` beyond them. */
  part: 'fitted' | 'extrapolated';
}

export interface LimitRow extends Row {
  series: string;
  limit: number;
}

export interface FittedCurvesInput {
  name: string;
  title: string;
  x: Axis;
  y: Axis;
  points: readonly PointRow[];
  curves: readonly CurveRow[];
  limits: readonly LimitRow[];
  series: readonly Series[];
  /** Confidence level of the bands, e.g. 0.95. */
  level: number;
  /** Sentences for the caption, e.g. about fits without a curve. */
  notes?: string;
}

/** Measured values, the fitted law of each series with its confidence band, and the limit it approaches. */
export function fittedCurves(input: FittedCurvesInput): Chart {
  const { x, y, points, curves, limits, series } = input;
  const { valid, excluded } = split(points, (row) => isPositive(row.x) && isNumber(row.y));
  // Tens of thousands of points are a cloud with or without three in four of them, and take seconds to draw.
  const every = Math.max(1, Math.ceil(valid.length / MOST_POINTS));
  const drawn = every > 1 ? valid.filter((_, i) => i % every === 0) : valid;
  const bands = curves.filter((row) => row.low !== null && row.high !== null);
  const xs = [...valid, ...curves].map((row) => row.x as number);
  const ys = [...valid.map((row) => row.y as number), ...curves.map((row) => row.y)];
  // A band that dives below zero would blow the axis up: the curves and the points set it.
  const { domain: yDomain, beyond } = domainOf(ys, limits);
  const xForms: [Spec, Spec] = [positionOf(x, 'linear', xs), positionOf(x, 'log', xs)];
  const yForms: [Spec, Spec] = [
    positionOf(y, 'linear', ys, { domain: yDomain }),
    positionOf(y, 'log', ys, { domain: yDomain.map((v) => Math.max(v, positiveFloor(ys))) }),
  ];
  const canLogY = ys.every((value) => value > 0);
  const color = seriesColor(series);
  const nameOf = namer(series);
  const xy = { x: { field: 'x', type: 'quantitative' }, y: { field: 'y', type: 'quantitative' } } as const;
  return {
    name: input.name,
    title: input.title,
    caption: sentences(
      `Points are measurements${curves.length > 0 ? ', lines the fitted laws (dashed beyond the data)' : ''}.`,
      bands.length > 0 && `Bands are ${Math.round(input.level * 100)}% confidence bands of the curve.`,
      limits.length > beyond.length && 'Dotted lines are the limits.',
      beyond.length > 0 &&
        `The ${beyond.length === 1 ? 'limit' : 'limits'} of ${listOf(beyond.map((row) => `${nameOf(row.series)} (${formatValue(row.limit, y.kind)})`))} ${beyond.length === 1 ? 'lies' : 'lie'} beyond the axis.`,
      every > 1 && `Of ${countOf(valid.length, 'point')} one in ${every} is drawn; the table has all.`,
      input.notes,
      excludedNote(excluded.length, `without a value, or with ${x.title.toLowerCase()} of 0,`),
    ),
    alt: altText(input, valid),
    spec: {
      ...baseSpec({ points: drawn, curves: [...curves], limits: [...limits] }),
      params: [HIDDEN_PARAM],
      encoding: { x: xForms[1], y: yForms[0], color },
      layer: [
        ...(bands.length > 0
          ? [
              {
                data: { name: 'curves' },
                transform: [SHOWN, { filter: 'isValid(datum.low) && isValid(datum.high)' }],
                mark: { type: 'area', opacity: 0.14, clip: true, tooltip: null },
                encoding: { x: xy.x, y: { field: 'low', type: 'quantitative' }, y2: { field: 'high' } },
              },
            ]
          : []),
        ...(limits.length > 0
          ? [
              {
                data: { name: 'limits' },
                transform: [SHOWN],
                mark: { type: 'rule', strokeDash: [1, 4], strokeWidth: 1.25, opacity: 0.9, clip: true },
                encoding: {
                  x: null,
                  y: { field: 'limit', type: 'quantitative' },
                  tooltip: tooltipOf([
                    { field: 'series', title: 'limit of' },
                    { ...y, field: 'limit' },
                  ]),
                },
              },
            ]
          : []),
        ...(curves.length > 0
          ? [
              {
                data: { name: 'curves' },
                transform: [SHOWN],
                mark: { type: 'line', strokeWidth: 2, clip: true },
                encoding: {
                  ...xy,
                  strokeDash: {
                    field: 'part',
                    type: 'nominal',
                    legend: null,
                    scale: {
                      domain: ['fitted', 'extrapolated'],
                      range: [
                        [1, 0],
                        [5, 4],
                      ],
                    },
                  },
                },
              },
            ]
          : []),
        {
          data: { name: 'points' },
          transform: [SHOWN],
          // Not clipped: the axes hold every point, and those at their ends would be halved.
          mark: { type: 'point', filled: true, size: 34, opacity: 0.85 },
          encoding: {
            ...xy,
            ...familyShape(series),
            tooltip: tooltipOf([
              { field: 'series', title: 'series' },
              { ...x, field: 'x' },
              { ...y, field: 'y' },
            ]),
          },
        },
      ],
      usermeta: axisForms({ x: xForms, ...(canLogY ? { y: yForms } : {}) }),
    },
    table: {
      fields: [
        { field: 'series', title: 'series', kind: 'text' },
        { ...x, field: 'x' },
        { ...y, field: 'y' },
      ],
      rows: [...points],
    },
    legend: [...series],
    switches: canLogY ? ['x', 'y'] : ['x'],
  };
}

/** Points of one chart before it is thinned. */
const MOST_POINTS = 12_000;
/** Room above and below, as a share of the range. */
const ROOM = 0.06;
/** A limit further from the data than this many of their ranges would squeeze them; it is said in words. */
const FAR = 0.75;

/** The points and curves set the axis, and the limits near them. */
function domainOf(ys: readonly number[], limits: readonly LimitRow[]) {
  if (ys.length === 0) return { domain: [0, 1], beyond: [] };
  const lo = ys.reduce((a, b) => Math.min(a, b));
  const hi = ys.reduce((a, b) => Math.max(a, b));
  const range = hi - lo || Math.abs(hi) || 1;
  const isNear = ({ limit }: LimitRow) => limit >= lo - FAR * range && limit <= hi + FAR * range;
  const near = limits.filter(isNear).map((row) => row.limit);
  const [from, to] = [Math.min(lo, ...near), Math.max(hi, ...near)];
  const room = (to - from || range) * ROOM;
  return {
    domain: [from > 0 ? Math.max(0, from - room) : from - room, to + room],
    beyond: limits.filter((row) => !isNear(row)),
  };
}

/** Where a log axis may start: a little under the smallest positive value. */
const positiveFloor = (values: readonly number[]) =>
  values.filter((value) => value > 0).reduce((a, b) => Math.min(a, b), 1) * 0.95;

function altText({ title, x, y, series, curves }: FittedCurvesInput, points: readonly PointRow[]): string {
  const spoken = series.slice(0, MAX_SPOKEN).flatMap(({ label, name }) => {
    const own = points.filter((row) => row.series === label);
    const [first, last] = [own[0], own.at(-1)];
    if (!first || !last) return [];
    const at = (row: PointRow) => `${formatValue(row.y, y.kind)} at ${formatValue(row.x, x.kind)}`;
    return [`${name} goes from ${at(first)} to ${at(last)}`];
  });
  const more = series.length > MAX_SPOKEN ? `; ${series.length - MAX_SPOKEN} more in the table` : '';
  const kind = curves.length > 0 ? 'Scatter plot with fitted curves' : 'Scatter plot';
  return (
    `${title}. ${kind} of ${y.title.toLowerCase()} against ${x.title.toLowerCase()}, ` +
    `${countOf(points.length, 'point')} in ${countOf(series.length, 'series', 'series')}. ${spoken.join('; ')}${more}.`
  );
}

/** More series than this are left to the table. */
const MAX_SPOKEN = 12;
