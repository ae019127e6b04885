import {
  type Axis,
  baseSpec,
  type Chart,
  excludedNote,
  formatExpression,
  isNumber,
  isPositive,
  type Row,
  sentences,
  split,
  tooltipOf,
} from '../chart.js';
import { countOf, formatShare } from '../format.js';
import { ramp } from '../palette.js';

export interface ChunkRow extends Row {
  layer: number | null;
  /** Consecutive tokens taken together. */
  tokens: number | null;
  activationRatio: number | null;
}

export interface ChunkRatiosInput {
  name: string;
  run: string;
  setting: string;
  rows: readonly ChunkRow[];
}

const HEIGHT = 240;
const TOKENS: Axis = { field: 'tokens', title: 'Consecutive tokens', kind: 'plain' };
const RATIO: Axis = { field: 'activationRatio', title: 'Neurons active at least once', kind: 'share' };

/** Share of neurons that at least one of several consecutive tokens activates, by layer. */
export function chunkRatios({ name, run, setting, rows }: ChunkRatiosInput): Chart {
  const { valid, excluded } = split(
    rows,
    (row) => isNumber(row.layer) && isPositive(row.tokens) && isNumber(row.activationRatio),
  );
  const drawn = valid.map((row) => ({ ...row, curve: `layer ${(row.layer as number) + 1}` }));
  const curves = [...new Set(drawn.map((row) => row.curve))];
  const sizes = [...new Set(drawn.map((row) => row.tokens as number))].sort((a, b) => a - b);
  const mean = (size: number) => {
    const own = drawn.filter((row) => row.tokens === size);
    return own.reduce((sum, row) => sum + (row.activationRatio as number), 0) / own.length;
  };
  return {
    name,
    title: run,
    caption: sentences(`${setting}.`, excludedNote(excluded.length, 'without a value')),
    alt: `${run}, ${setting}: share of neurons active at least once in ${countOf(sizes.length, 'chunk size')}, mean over ${countOf(curves.length, 'layer')}. ${sizes
      .map((size) => `${countOf(size, 'token')}: ${formatShare(mean(size))}`)
      .join('; ')}.`,
    spec: {
      ...baseSpec({ chunks: drawn }),
      height: HEIGHT,
      data: { name: 'chunks' },
      mark: { type: 'line', strokeWidth: 1.75, point: { size: 28, filled: true } },
      encoding: {
        x: {
          field: 'tokens',
          type: 'quantitative',
          title: TOKENS.title,
          scale: { type: 'log', base: 2, nice: false },
          axis: { values: sizes, format: 'd' },
        },
        y: {
          field: 'activationRatio',
          type: 'quantitative',
          title: RATIO.title,
          scale: { zero: true },
          axis: { tickCount: 5, labelExpr: formatExpression('datum.value', 'share') },
        },
        color: {
          field: 'curve',
          type: 'nominal',
          title: null,
          sort: curves,
          scale: { domain: curves, range: ramp(150, curves.length).map(({ light }) => light) },
        },
        tooltip: tooltipOf([{ field: 'curve', title: 'layer' }, TOKENS, RATIO]),
      },
    },
    table: {
      fields: [{ field: 'layer', title: 'layer', kind: 'plain' }, TOKENS, RATIO],
      rows: [...rows],
    },
    legend: [],
    switches: [],
  };
}
