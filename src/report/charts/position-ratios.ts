import { type Axis, type Chart, isNumber, type Row } from '../chart.js';
import { countOf, formatShare } from '../format.js';
import { type ProfileInput, profileLines } from '../profile-lines.js';

export interface PositionRow extends Row {
  /** Of a token in its window, from 0. */
  position: number | null;
  activationRatio: number | null;
}

const POSITION: Axis = { field: 'position', title: 'Position in the window', kind: 'plain' };
const RATIO: Axis = { field: 'activationRatio', title: 'Activation ratio', kind: 'share' };

/** Mean activation ratio of each position of a window: what a token's context changes. */
export const positionRatios = (input: ProfileInput<PositionRow>): Chart =>
  profileLines(input, {
    height: 200,
    x: POSITION,
    y: RATIO,
    xSpec: { axis: { tickCount: 6 } },
    yScale: { zero: false },
    mark: { strokeWidth: 1.25 },
    hue: 258,
    isDrawn: (row) => isNumber(row.position) && isNumber(row.activationRatio),
    inWords: (drawn) => {
      const [first, last] = [drawn[0], drawn.at(-1)];
      const ends =
        first && last
          ? `, from ${formatShare(first.activationRatio as number)} at the first to ${formatShare(last.activationRatio as number)} at the last`
          : '';
      return `activation ratio at ${countOf(drawn.length, 'position')}${ends}.`;
    },
  });
