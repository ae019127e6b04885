import { type Axis, type Chart, isNumber, type Row } from '../chart.js';
import { countOf, formatShare } from '../format.js';
import { type ProfileInput, profileLines, SHARE_SPEC } from '../profile-lines.js';

/** A point of the sorted curve of one layer: this share of its neurons is active on at least that share of tokens. */
export interface FrequencyRow extends Row {
  /** The curve: a layer, or all layers. */
  curve: string;
  share: number | null;
  frequency: number | null;
}

const SHARE: Axis = { field: 'share', title: 'Share of neurons', kind: 'share' };
const FREQUENCY: Axis = { field: 'frequency', title: 'Share of tokens that activate them', kind: 'share' };

/** How often neurons are active, sorted from the busiest (arXiv 2411.02335, Fig. 9). */
export const neuronFrequencies = (input: ProfileInput<FrequencyRow>): Chart =>
  profileLines(input, {
    height: 260,
    x: SHARE,
    y: FREQUENCY,
    xSpec: SHARE_SPEC,
    yScale: { domain: [0, 1] },
    mark: { strokeWidth: 1.75 },
    hue: 215,
    curve: 'curve',
    isDrawn: (row) => isNumber(row.share) && isNumber(row.frequency),
    note: 'Neurons are sorted from the busiest on.',
    inWords: (drawn) => {
      const curves = [...new Set(drawn.map(({ curve }) => curve))];
      const words = curves.slice(0, 6).map((curve) => {
        const own = drawn.filter((row) => row.curve === curve);
        const often = own.filter((row) => (row.frequency as number) >= 0.5).at(-1)?.share ?? 0;
        return `${curve}: ${formatShare(often)} of neurons are active on half of the tokens or more`;
      });
      return `sorted activation frequencies of ${countOf(curves.length, 'curve')}. ${words.join('; ')}.`;
    },
    fields: [{ field: 'curve', title: 'layer', kind: 'text' }],
  });
