import {
  type Axis,
  baseSpec,
  type Chart,
  excludedNote,
  formatExpression,
  type Row,
  sentences,
  split,
  type TableField,
  tooltipOf,
} from './chart.js';
import { ramp } from './palette.js';

type Spec = Chart['spec'];

/** A profile of one checkpoint under one measurement. */
export interface ProfileInput<R extends Row> {
  name: string;
  /** The run, and the checkpoint it was at. */
  run: string;
  /** The measurement that says which neurons are active. */
  setting: string;
  rows: readonly R[];
}

/** How the rows of a profile become lines. */
export interface ProfileLines<R extends Row> {
  height: number;
  x: Axis;
  y: Axis;
  /** Scale and axis of either direction, added to what all profiles share. */
  xSpec: Spec;
  yScale: Spec;
  mark: Spec;
  hue: number;
  /** The field that names a row's line, where there are several. */
  curve?: string;
  isDrawn(row: R): boolean;
  /** Said under the chart after the setting. */
  note?: string;
  /** What the lines say, after the run and the setting. */
  inWords(drawn: readonly R[]): string;
  /** First columns of the table, before x and y. */
  fields?: TableField[];
}

/** The frame of the charts of profiles: one or several lines, in words and as a table. */
export function profileLines<R extends Row>(input: ProfileInput<R>, lines: ProfileLines<R>): Chart {
  const { name, run, setting, rows } = input;
  const { x, y, curve, hue } = lines;
  const { valid, excluded } = split(rows, lines.isDrawn);
  const curves = curve ? [...new Set(valid.map((row) => String(row[curve])))] : [];
  const colors = ramp(hue, Math.max(1, curves.length)).map(({ light }) => light);
  return {
    name,
    title: run,
    caption: sentences(`${setting}.`, lines.note, excludedNote(excluded.length, 'without a value')),
    alt: `${run}, ${setting}: ${lines.inWords(valid)}`,
    spec: {
      ...baseSpec({ points: valid }),
      height: lines.height,
      data: { name: 'points' },
      mark: { type: 'line', ...lines.mark, ...(curve ? {} : { color: colors[0] }) },
      encoding: {
        x: { field: x.field, type: 'quantitative', title: x.title, ...lines.xSpec },
        y: {
          field: y.field,
          type: 'quantitative',
          title: y.title,
          scale: lines.yScale,
          axis: { tickCount: 5, labelExpr: formatExpression('datum.value', 'share') },
        },
        ...(curve && {
          color: {
            field: curve,
            type: 'nominal',
            title: null,
            sort: curves,
            scale: { domain: curves, range: colors },
          },
        }),
        tooltip: tooltipOf([...(curve ? [{ field: curve, title: '' }] : []), x, y]),
      },
    },
    table: { fields: [...(lines.fields ?? []), x, y], rows: [...rows] },
    legend: [],
    switches: [],
  };
}

/** A share on the x axis, from 0 to 1. */
export const SHARE_SPEC: Spec = {
  scale: { domain: [0, 1] },
  axis: { tickCount: 5, labelExpr: formatExpression('datum.value', 'share') },
};
