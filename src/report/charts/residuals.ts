import { groupBy } from '../../table/group-by.js';
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
/** Points of one running mean; fewer points than twice as many show their course themselves. */
const NEIGHBOURS = 5;
/** Lines of more series than this would only hide each other. */
const MAX_SMOOTHED = 16;

/** Means of `NEIGHBOURS` points in a row of each series, at the mean (in the logarithm) of their x. */
function runningMeans(rows: readonly ResidualRow[]): Row[] {
  return [...groupBy(rows, ({ series }) => series)].flatMap(([series, own]) => {
    if (own.length < 2 * NEIGHBOURS) return [];
    const sorted = [...own].sort((a, b) => (a.x as number) - (b.x as number));
    return Array.from({ length: sorted.length - NEIGHBOURS + 1 }, (_, i) => {
      const window = sorted.slice(i, i + NEIGHBOURS);
      const mean = (of: (row: ResidualRow) => number) =>
        window.reduce((sum, row) => sum + of(row), 0) / NEIGHBOURS;
      return {
        series,
        x: Number(Math.exp(mean((row) => Math.log(row.x as number))).toPrecision(6)),
        residual: Number(mean((row) => row.residual as number).toPrecision(4)),
      };
    });
  });
}

/** What the chosen laws leave over: a good law leaves no shape behind. */
export function residuals({ name, x, unit, rows, series }: ResidualsInput): Chart {
  const { valid, excluded } = split(rows, (row) => isPositive(row.x) && isNumber(row.residual));
  const xs = valid.map((row) => row.x as number);
  const smooth = series.length <= MAX_SMOOTHED ? runningMeans(valid) : [];
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
      smooth.length > 0 &&
        `Lines are means of ${NEIGHBOURS} neighbours: a line far from 0 is misfit, not noise.`,
      excludedNote(excluded.length, 'without a residual'),
    ),
    alt:
      `Residuals of ${countOf(valid.length, 'point')} against ${x.title.toLowerCase()}; ` +
      `the largest is ${formatNumber(largest, 2)} (${unit.toLowerCase()}).`,
    spec: {
      ...baseSpec({ points: valid, smooth }),
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
          mark: { type: 'point', filled: true, size: 20, opacity: 0.6 },
          encoding: {
            ...encoding,
            ...familyShape(series),
            tooltip: tooltipOf([{ field: 'series', title: 'series' }, { ...x, field: 'x' }, y]),
          },
        },
        ...(smooth.length > 0
          ? [
              {
                data: { name: 'smooth' },
                transform: [SHOWN],
                mark: { type: 'line', strokeWidth: 2, opacity: 0.9, tooltip: null },
                encoding,
              },
            ]
          : []),
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
