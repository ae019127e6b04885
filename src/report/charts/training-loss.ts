import {
  type Axis,
  axisForms,
  baseSpec,
  type Chart,
  excludedNote,
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
import type { Series } from '../series.js';

export interface LossRow extends Row {
  series: string;
  tokens: number | null;
  loss: number | null;
  kind: 'training' | 'validation';
}

export interface TrainingLossInput {
  name: string;
  rows: readonly LossRow[];
  series: readonly Series[];
  /** Logged steps that one point of a training curve is the mean of; 1 when every step is drawn. */
  averaged: number;
}

const TOKENS: Axis = { field: 'tokens', title: 'Training tokens', kind: 'count' };
const LOSS: Axis = { field: 'loss', title: 'Loss (nats per token)', kind: 'plain' };

/** Training loss as a line, validation loss as points, against tokens. */
export function trainingLoss({ name, rows, series, averaged }: TrainingLossInput): Chart {
  const { valid, excluded } = split(rows, (row) => isPositive(row.tokens) && isNumber(row.loss));
  const xs = valid.map((row) => row.tokens as number);
  const ys = valid.map((row) => row.loss as number);
  const forms: [Spec, Spec] = [positionOf(TOKENS, 'linear', xs), positionOf(TOKENS, 'log', xs)];
  const xy = {
    x: { field: 'tokens', type: 'quantitative' },
    y: { field: 'loss', type: 'quantitative' },
  };
  const last = (label: string, kind: LossRow['kind']) =>
    valid.filter((row) => row.series === label && row.kind === kind).at(-1);
  return {
    name,
    title: 'Loss during training',
    caption: sentences(
      'Lines are the training loss, points the loss on the whole validation set.',
      averaged > 1 && `Each point of a line is the mean of ${averaged} logged steps.`,
      excludedNote(excluded.length, 'without a finite loss'),
    ),
    alt: `Loss against training tokens for ${countOf(series.length, 'run')}. ${series
      .slice(0, 12)
      .flatMap(({ label, name }) => {
        const row = last(label, 'validation') ?? last(label, 'training');
        return row
          ? [`${name} ends at ${formatNumber(row.loss as number)} nats per token (${row.kind})`]
          : [];
      })
      .join('; ')}.`,
    spec: {
      ...baseSpec({ losses: valid }),
      params: [HIDDEN_PARAM],
      data: { name: 'losses' },
      transform: [SHOWN],
      encoding: { x: forms[1], y: positionOf(LOSS, 'linear', ys), color: seriesColor(series) },
      layer: [
        {
          transform: [{ filter: "datum.kind === 'training'" }],
          mark: { type: 'line', strokeWidth: 1.25, opacity: 0.6 },
          encoding: xy,
        },
        {
          transform: [{ filter: "datum.kind === 'validation'" }],
          mark: { type: 'point', filled: true, size: 34 },
          encoding: {
            ...xy,
            tooltip: tooltipOf([
              { field: 'series', title: 'run' },
              { field: 'kind', title: 'loss' },
              TOKENS,
              LOSS,
            ]),
          },
        },
      ],
      usermeta: axisForms({ x: forms }),
    },
    table: {
      fields: [
        { field: 'series', title: 'run', kind: 'text' },
        { field: 'kind', title: 'loss', kind: 'text' },
        TOKENS,
        LOSS,
      ],
      rows: [...rows],
    },
    legend: [...series],
    switches: ['x'],
  };
}
