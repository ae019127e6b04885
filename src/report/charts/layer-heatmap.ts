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
import { countOf, formatCount, formatShare } from '../format.js';

export interface LayerRow extends Row {
  layer: number;
  tokens: number | null;
  /** Label of the checkpoint on the axis. */
  checkpoint: string;
  activationRatio: number | null;
}

export interface LayerHeatmapInput {
  name: string;
  run: string;
  /** The metric with its setting. */
  setting: string;
  rows: readonly LayerRow[];
}

/** Room for the colour key beside a shallow model. */
const MIN_HEIGHT = 150;

/** Activation ratio of each layer at each checkpoint. */
export function layerHeatmap({ name, run, setting, rows }: LayerHeatmapInput): Chart {
  const { valid, excluded } = split(rows, (row) => isNumber(row.activationRatio));
  const checkpoints = [...new Map(valid.map((row) => [row.checkpoint, row.tokens])).entries()]
    .sort((a, b) => (a[1] ?? 0) - (b[1] ?? 0))
    .map(([label]) => label);
  const layers = new Set(valid.map((row) => row.layer));
  const ordered = [...valid].sort((a, b) => (a.activationRatio as number) - (b.activationRatio as number));
  const [least, most] = [ordered[0], ordered.at(-1)];
  const place = (row: LayerRow) => `layer ${row.layer + 1} at ${row.checkpoint} tokens`;
  return {
    name,
    title: run,
    caption: sentences(
      `${setting}.`,
      'Layer 1 is next to the embedding.',
      excludedNote(excluded.length, 'without a value'),
    ),
    alt:
      `${run}, ${setting}: activation ratio of ${countOf(layers.size, 'layer')} at ${countOf(checkpoints.length, 'checkpoint')}` +
      (least && most
        ? `, from ${formatShare(least.activationRatio as number)} (${place(least)}) to ${formatShare(most.activationRatio as number)} (${place(most)}).`
        : '.'),
    spec: {
      ...baseSpec({ layers: valid }),
      height: Math.max(MIN_HEIGHT, layers.size * (layers.size > 24 ? 12 : 20)),
      data: { name: 'layers' },
      transform: [{ calculate: 'datum.layer + 1', as: 'number' }],
      mark: { type: 'rect', tooltip: true },
      encoding: {
        x: {
          field: 'checkpoint',
          type: 'ordinal',
          title: 'Training tokens',
          sort: checkpoints,
          axis: { labelOverlap: 'greedy', labelAngle: 0, labelSeparation: 6, domain: false, ticks: false },
          scale: { paddingInner: 0.04 },
        },
        y: {
          field: 'number',
          type: 'ordinal',
          title: 'Layer',
          sort: 'descending',
          axis: { labelOverlap: 'greedy', domain: false, ticks: false },
          scale: { paddingInner: 0.06 },
        },
        color: {
          field: 'activationRatio',
          type: 'quantitative',
          title: 'Activation ratio',
          scale: { scheme: 'viridis', zero: false },
          legend: {
            orient: 'right',
            direction: 'vertical',
            gradientLength: 120,
            gradientThickness: 10,
            tickCount: 4,
            labelExpr: formatExpression('datum.value', 'share'),
          },
        },
        tooltip: tooltipOf([
          { field: 'number', title: 'layer', kind: 'plain' },
          { field: 'tokens', title: 'tokens', kind: 'count' },
          { field: 'activationRatio', title: 'activation ratio', kind: 'share' },
        ]),
      },
    },
    table: {
      fields: [
        { field: 'layer', title: 'layer (from 0)', kind: 'plain' },
        { field: 'tokens', title: 'tokens', kind: 'count' },
        { field: 'activationRatio', title: 'activation ratio', kind: 'share' },
      ],
      rows: [...rows],
    },
    legend: [],
    switches: [],
  };
}

/** What the axis says of a checkpoint. */
export const checkpointLabel = (tokens: number | null, name: string) =>
  tokens === null ? name : formatCount(tokens);
