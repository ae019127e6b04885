import { type Axis, type Chart, isNumber, type Row } from '../chart.js';
import { formatShare } from '../format.js';
import { type ProfileInput, profileLines, SHARE_SPEC } from '../profile-lines.js';

/** A point of a sorted curve: this share has at least that activation ratio. */
export interface TokenRatioRow extends Row {
  /** Share of what: vocabulary entries, or tokens of the text. */
  curve: string;
  share: number | null;
  activationRatio: number | null;
}

const SHARE: Axis = { field: 'share', title: 'Share of entries or tokens', kind: 'share' };
const RATIO: Axis = { field: 'activationRatio', title: 'Activation ratio of the entry', kind: 'share' };

/** Mean activation ratio of vocabulary entries as input, sorted from the most active (arXiv 2411.02335, Fig. 10). */
export const tokenRatios = (input: ProfileInput<TokenRatioRow>): Chart =>
  profileLines(input, {
    height: 220,
    x: SHARE,
    y: RATIO,
    xSpec: SHARE_SPEC,
    yScale: { zero: true },
    mark: { strokeWidth: 1.75 },
    hue: 45,
    curve: 'curve',
    isDrawn: (row) => isNumber(row.share) && isNumber(row.activationRatio),
    note: 'Entries of the vocabulary are sorted from the most active on, each counted once or as often as it was read.',
    inWords: (drawn) =>
      `${[...new Set(drawn.map(({ curve }) => curve))]
        .map((curve) => {
          const own = drawn.filter((row) => row.curve === curve);
          const middle = own.find((row) => (row.share as number) >= 0.5) ?? own.at(-1)!;
          return `${curve}: from ${formatShare(own[0]!.activationRatio as number)} over ${formatShare(middle.activationRatio as number)} in the middle to ${formatShare(own.at(-1)!.activationRatio as number)}`;
        })
        .join('; ')}.`,
    fields: [{ field: 'curve', title: 'of', kind: 'text' }],
  });
