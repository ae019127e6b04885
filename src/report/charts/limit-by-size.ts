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
import { countOf, formatValue } from '../format.js';
import { UI_COLORS } from '../palette.js';
import { namer, type Series } from '../series.js';

/** The limit of one run's (or group's) curve, at the size or shape of its model. */
export interface LimitPointRow extends Row {
  series: string;
  family: string;
  x: number | null;
  limit: number | null;
  low: number | null;
  high: number | null;
}

/** A law fitted to the limits themselves. */
export interface LimitCurveRow extends Row {
  curve: string;
  x: number;
  y: number;
}

export interface LimitBySizeInput {
  name: string;
  title: string;
  /** Size or shape: parameters, or width / depth. */
  x: Axis;
  /** The quantity whose limit it is. */
  y: Axis;
  rows: readonly LimitPointRow[];
  curves?: readonly LimitCurveRow[];
  /** x of a bottleneck with its interval, of a piecewise-linear law. */
  bottlenecks?: readonly { x: number; low: number | null; high: number | null }[];
  series: readonly Series[];
  notes?: string;
}

/** Limits against the size of the model, or against its shape with the bottleneck that a line up to it has. */
export function limitBySize(input: LimitBySizeInput): Chart {
  const { name, title, x, y, rows, series, curves = [], bottlenecks = [] } = input;
  const { valid, excluded } = split(rows, (row) => isPositive(row.x) && isNumber(row.limit));
  const xs = [...valid, ...curves].map((row) => row.x as number);
  const limits = valid.map((row) => row.limit as number);
  const forms: [Spec, Spec] = [positionOf(x, 'linear', xs), positionOf(x, 'log', xs)];
  const limit: Axis = { ...y, field: 'limit', title: `Limit of ${y.title.toLowerCase()}` };
  const xy = { x: { field: 'x', type: 'quantitative' }, y: { field: 'limit', type: 'quantitative' } };
  const closed = bottlenecks.filter(({ low, high }) => low !== null && high !== null);
  const nameOf = namer(series);
  const grey = { value: UI_COLORS.muted.light };
  return {
    name,
    title,
    caption: sentences(
      'Each marker is the limit of one fitted curve, with its interval.',
      bottlenecks.length > 0 && 'The vertical line is the bottleneck, its band the interval.',
      input.notes,
      excludedNote(excluded.length, `without a limit or without ${x.title.toLowerCase()}`),
    ),
    alt: `${title}. ${countOf(valid.length, 'limit')}: ${valid
      .slice(0, 16)
      .map(
        (row) => `${nameOf(row.series)} ${formatValue(row.limit, y.kind)} at ${formatValue(row.x, x.kind)}`,
      )
      .join('; ')}.`,
    spec: {
      ...baseSpec({ limits: valid, curves: [...curves], bottlenecks: [...bottlenecks] }),
      params: [HIDDEN_PARAM],
      encoding: { x: forms[1], y: positionOf(limit, 'linear', limits), color: seriesColor(series) },
      layer: [
        ...(closed.length > 0
          ? [
              {
                data: { name: 'bottlenecks' },
                transform: [{ filter: 'isValid(datum.low) && isValid(datum.high)' }],
                mark: { type: 'rect', opacity: 0.1, clip: true },
                encoding: {
                  x: { field: 'low', type: 'quantitative' },
                  x2: { field: 'high' },
                  y: { value: 0 },
                  y2: { value: 'height' },
                  color: grey,
                },
              },
            ]
          : []),
        ...(bottlenecks.length > 0
          ? [
              {
                data: { name: 'bottlenecks' },
                mark: { type: 'rule', strokeDash: [4, 3], clip: true },
                encoding: { x: { field: 'x', type: 'quantitative' }, y: null, color: grey },
              },
            ]
          : []),
        ...(curves.length > 0
          ? [
              {
                data: { name: 'curves' },
                mark: { type: 'line', strokeWidth: 1.5, clip: true },
                encoding: {
                  x: xy.x,
                  y: { field: 'y', type: 'quantitative' },
                  detail: { field: 'curve', type: 'nominal' },
                  color: grey,
                },
              },
            ]
          : []),
        {
          data: { name: 'limits' },
          transform: [SHOWN, { filter: 'isValid(datum.low) && isValid(datum.high)' }],
          mark: { type: 'rule', strokeWidth: 1.5 },
          encoding: { x: xy.x, y: { field: 'low', type: 'quantitative' }, y2: { field: 'high' } },
        },
        {
          data: { name: 'limits' },
          transform: [SHOWN],
          mark: { type: 'point', filled: true, size: 70, opacity: 1 },
          encoding: {
            ...xy,
            ...familyShape(series),
            tooltip: tooltipOf([
              { field: 'series', title: 'series' },
              { ...x, field: 'x' },
              limit,
              { ...y, field: 'low', title: 'from' },
              { ...y, field: 'high', title: 'to' },
            ]),
          },
        },
      ],
      usermeta: axisForms({ x: forms }),
    },
    table: {
      fields: [
        { field: 'series', title: 'series', kind: 'text' },
        { ...x, field: 'x' },
        { field: 'limit', title: 'limit', kind: y.kind },
        { field: 'low', title: 'from', kind: y.kind },
        { field: 'high', title: 'to', kind: y.kind },
      ],
      rows: [...rows],
    },
    legend: [...series],
    switches: ['x'],
  };
}
