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
import { countOf, formatNumber } from '../format.js';
import { UI_COLORS } from '../palette.js';
import type { Series } from '../series.js';

export interface ResidualRow extends Row {
  series: string;
  family: string;
  x: number | null;
  /** Measured minus fitted; in percentage points where y is a share, else in y's unit. */
  residual: number | null;
}

export interface ResidualsInput {
  name: string;
  x: Axis;
  /** Title of the residual's axis with its unit. */
  unit: string;
  rows: readonly ResidualRow[];
  series: readonly Series[];
}

const HEIGHT = 220;

/** What the chosen laws leave over: a good law leaves no shape behind. */
export function residuals({ name, x, unit, rows, series }: ResidualsInput): Chart {
  const { valid, excluded } = split(rows, (row) => isPositive(row.x) && isNumber(row.residual));
  const xs = valid.map((row) => row.x as number);
  const forms: [Spec, Spec] = [positionOf(x, 'linear', xs), positionOf(x, 'log', xs)];
  const y: Axis = { field: 'residual', title: unit, kind: 'plain' };
  const encoding = {
    x: { field: 'x', type: 'quantitative' },
    y: { field: 'residual', type: 'quantitative' },
  };
  const largest = valid.reduce((most, row) => Math.max(most, Math.abs(row.residual as number)), 0);
  return {
    name,
    title: 'Residuals',
    caption: sentences(
      'Measured minus fitted. Points scattered about 0 without a pattern speak for the law; waves or a trend against it.',
      excludedNote(excluded.length, 'without a residual'),
    ),
    alt:
      `Residuals of ${countOf(valid.length, 'point')} against ${x.title.toLowerCase()}; ` +
      `the largest is ${formatNumber(largest, 2)} (${unit.toLowerCase()}).`,
    spec: {
      ...baseSpec({ points: valid }),
      height: HEIGHT,
      params: [HIDDEN_PARAM],
      encoding: {
        x: forms[1],
        y: positionOf(
          y,
          'linear',
          valid.map((row) => row.residual as number),
        ),
        color: seriesColor(series),
      },
      layer: [
        {
          mark: { type: 'rule', color: UI_COLORS.axis.light },
          data: { values: [{}] },
          encoding: { x: null, color: null, y: { datum: 0 } },
        },
        {
          data: { name: 'points' },
          transform: [SHOWN],
          mark: { type: 'line', strokeWidth: 1, opacity: 0.45 },
          encoding,
        },
        {
          data: { name: 'points' },
          transform: [SHOWN],
          mark: { type: 'point', filled: true, size: 24, opacity: 0.85 },
          encoding: {
            ...encoding,
            ...familyShape(series),
            tooltip: tooltipOf([{ field: 'series', title: 'series' }, { ...x, field: 'x' }, y]),
          },
        },
      ],
      usermeta: axisForms({ x: forms }),
    },
    table: {
      fields: [{ field: 'series', title: 'series', kind: 'text' }, { ...x, field: 'x' }, y],
      rows: [...rows],
    },
    legend: [...series],
    switches: ['x'],
  };
}
