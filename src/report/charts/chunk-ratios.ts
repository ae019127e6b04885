import { type Axis, type Chart, isNumber, isPositive, type Row } from '../chart.js';
import { countOf, formatShare } from '../format.js';
import { type ProfileInput, profileLines } from '../profile-lines.js';

export interface ChunkRow extends Row {
  layer: number | null;
  /** Consecutive tokens taken together. */
  tokens: number | null;
  activationRatio: number | null;
}

const TOKENS: Axis = { field: 'tokens', title: 'Consecutive tokens', kind: 'plain' };
const RATIO: Axis = { field: 'activationRatio', title: 'Neurons active at least once', kind: 'share' };

/** Share of neurons that at least one of several consecutive tokens activates, by layer. */
export function chunkRatios(input: ProfileInput<ChunkRow>): Chart {
  const rows = input.rows.map((row) => ({
    ...row,
    curve: row.layer === null ? '' : `layer ${row.layer + 1}`,
  }));
  const sizes = [...new Set(rows.flatMap(({ tokens }) => tokens ?? []))].sort((a, b) => a - b);
  return profileLines(
    { ...input, rows },
    {
      height: 240,
      x: TOKENS,
      y: RATIO,
      xSpec: {
        scale: { type: 'log', base: 2, nice: false },
        axis: { values: sizes, format: 'd' },
      },
      yScale: { zero: true },
      mark: { strokeWidth: 1.75, point: { size: 28, filled: true } },
      hue: 150,
      curve: 'curve',
      isDrawn: (row) => isNumber(row.layer) && isPositive(row.tokens) && isNumber(row.activationRatio),
      inWords: (drawn) => {
        const layers = new Set(drawn.map(({ curve }) => curve)).size;
        const means = sizes.flatMap((size) => {
          const own = drawn.filter((row) => row.tokens === size);
          const sum = own.reduce((total, row) => total + (row.activationRatio as number), 0);
          return own.length > 0 ? `${countOf(size, 'token')}: ${formatShare(sum / own.length)}` : [];
        });
        return `share of neurons active at least once in ${countOf(means.length, 'chunk size')}, mean over ${countOf(layers, 'layer')}. ${means.join('; ')}.`;
      },
      fields: [{ field: 'layer', title: 'layer', kind: 'plain' }],
    },
  );
}
