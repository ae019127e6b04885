import {
  type Axis,
  baseSpec,
  type Chart,
  excludedNote,
  formatExpression,
  isNumber,
  type Row,
  sentences,
  split,
  tooltipOf,
} from '../chart.js';
import { countOf, formatShare } from '../format.js';
import { ramp } from '../palette.js';

export interface PositionRow extends Row {
  /** Of a token in its window, from 0. */
  position: number | null;
  activationRatio: number | null;
}

export interface PositionRatiosInput {
  name: string;
  run: string;
  setting: string;
  rows: readonly PositionRow[];
}

const HEIGHT = 200;
const POSITION: Axis = { field: 'position', title: 'Position in the window', kind: 'plain' };
const RATIO: Axis = { field: 'activationRatio', title: 'Activation ratio', kind: 'share' };

/** Mean activation ratio of each position of a window: what a token's context changes. */
export function positionRatios({ name, run, setting, rows }: PositionRatiosInput): Chart {
  const { valid, excluded } = split(rows, (row) => isNumber(row.position) && isNumber(row.activationRatio));
  const [first, last] = [valid[0], valid.at(-1)];
  return {
    name,
    title: run,
    caption: sentences(`${setting}.`, excludedNote(excluded.length, 'without a value')),
    alt:
      `${run}, ${setting}: activation ratio at ${countOf(valid.length, 'position')}` +
      (first && last
        ? `, from ${formatShare(first.activationRatio as number)} at the first to ${formatShare(last.activationRatio as number)} at the last.`
        : '.'),
    spec: {
      ...baseSpec({ positions: valid }),
      height: HEIGHT,
      data: { name: 'positions' },
      mark: { type: 'line', strokeWidth: 1.25, color: ramp(258, 1)[0]!.light },
      encoding: {
        x: { field: 'position', type: 'quantitative', title: POSITION.title, axis: { tickCount: 6 } },
        y: {
          field: 'activationRatio',
          type: 'quantitative',
          title: RATIO.title,
          scale: { zero: false },
          axis: { tickCount: 5, labelExpr: formatExpression('datum.value', 'share') },
        },
        tooltip: tooltipOf([POSITION, RATIO]),
      },
    },
    table: { fields: [POSITION, RATIO], rows: [...rows] },
    legend: [],
    switches: [],
  };
}
