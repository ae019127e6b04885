import {
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
import { ramp, UI_COLORS } from '../palette.js';

/** One task at one setting on one checkpoint. */
export interface ScoreRow extends Row {
  /** The metric with its setting, e.g. `PPL-1%`. */
  setting: string;
  /** On the task's own tokens. */
  activationRatio: number | null;
  accuracy: number | null;
  /** Accuracy minus and plus its standard error; null where one item says nothing about spread. */
  low: number | null;
  high: number | null;
  /** Accuracy minus that of the dense model, item by item, and its standard error. */
  difference: number | null;
  differenceError: number | null;
}

export interface TaskScoresInput {
  name: string;
  /** The run or model, its checkpoint, and the task. */
  title: string;
  items: number;
  rows: readonly ScoreRow[];
  dense: { activationRatio: number; accuracy: number };
}

const HEIGHT = 240;

/** Score of a task against the activation ratio (arXiv 2411.02335, Table 1), the dense model as the reference line. */
export function taskScores({ name, title, items, rows, dense }: TaskScoresInput): Chart {
  const { valid, excluded } = split(rows, (row) => isNumber(row.activationRatio) && isNumber(row.accuracy));
  const color = ramp(258, 1)[0]!.light;
  const axis = { tickCount: 5, labelExpr: formatExpression('datum.value', 'share') };
  const x = {
    field: 'activationRatio',
    type: 'quantitative',
    title: 'Activation ratio',
    scale: { zero: false, nice: true, padding: 12 },
    axis,
  };
  const y = {
    field: 'accuracy',
    type: 'quantitative',
    title: 'Accuracy',
    scale: { zero: false, nice: true },
    axis,
  };
  const fields = [
    { field: 'setting', title: 'setting' },
    { field: 'activationRatio', title: 'activation ratio', kind: 'share' as const },
    { field: 'accuracy', title: 'accuracy', kind: 'share' as const },
    { field: 'difference', title: 'against dense', kind: 'share' as const },
    { field: 'differenceError', title: 'its standard error', kind: 'share' as const },
  ];
  return {
    name,
    title,
    caption: sentences(
      `${countOf(items, 'item')}; bars are one standard error. The dashed line is the dense model ` +
        `(${formatShare(dense.accuracy)} at activation ratio ${formatShare(dense.activationRatio)}).`,
      excludedNote(excluded.length, 'without an accuracy or ratio'),
    ),
    alt: `${title}: accuracy against activation ratio over ${countOf(items, 'item')}; dense ${formatShare(dense.accuracy)}. ${valid
      .map(
        (row) => `${row.setting} has ${formatShare(row.accuracy!)} at ${formatShare(row.activationRatio!)}`,
      )
      .join('; ')}.`,
    spec: {
      ...baseSpec({ scores: valid, dense: [{ accuracy: dense.accuracy }] }),
      height: HEIGHT,
      layer: [
        {
          data: { name: 'dense' },
          mark: { type: 'rule', strokeDash: [4, 3], color: UI_COLORS.muted.light },
          encoding: { y },
        },
        {
          data: { name: 'scores' },
          transform: [{ filter: 'isValid(datum.low) && isValid(datum.high)' }],
          mark: { type: 'rule', strokeWidth: 1.5, color },
          encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' } },
        },
        {
          data: { name: 'scores' },
          mark: { type: 'point', filled: true, size: 60, opacity: 1, color },
          encoding: { x, y, tooltip: tooltipOf(fields) },
        },
        {
          data: { name: 'scores' },
          mark: { type: 'text', align: 'left', dx: 7, dy: -7, fontSize: 11, color: UI_COLORS.muted.light },
          encoding: { x, y, text: { field: 'setting', type: 'nominal' } },
        },
      ],
    },
    table: {
      fields: fields.map((field) => ({ kind: 'text', ...field })),
      rows: [...rows],
    },
    legend: [],
    switches: [],
  };
}
