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

/** A point of the sorted curve of one layer: this share of its neurons is active on at least that share of tokens. */
export interface FrequencyRow extends Row {
  /** The curve: a layer, or all layers. */
  curve: string;
  share: number | null;
  frequency: number | null;
}

export interface NeuronFrequenciesInput {
  name: string;
  run: string;
  setting: string;
  rows: readonly FrequencyRow[];
}

const HEIGHT = 260;
const SHARE: Axis = { field: 'share', title: 'Share of neurons', kind: 'share' };
const FREQUENCY: Axis = { field: 'frequency', title: 'Share of tokens that activate them', kind: 'share' };

/** How often neurons are active, sorted from the busiest (arXiv 2411.02335, Fig. 9). */
export function neuronFrequencies({ name, run, setting, rows }: NeuronFrequenciesInput): Chart {
  const { valid, excluded } = split(rows, (row) => isNumber(row.share) && isNumber(row.frequency));
  const curves = [...new Set(valid.map((row) => row.curve))];
  const colors = ramp(215, curves.length).map(({ light }) => light);
  const axis = (kind: Axis['kind']) => ({ tickCount: 5, labelExpr: formatExpression('datum.value', kind) });
  return {
    name,
    title: run,
    caption: sentences(
      `${setting}.`,
      'Neurons are sorted from the busiest on.',
      excludedNote(excluded.length, 'without a value'),
    ),
    alt: `${run}, ${setting}: sorted activation frequencies of ${countOf(curves.length, 'curve')}. ${curves
      .slice(0, 6)
      .map((curve) => {
        const own = valid.filter((row) => row.curve === curve);
        const often = own.filter((row) => (row.frequency as number) >= 0.5).at(-1)?.share ?? 0;
        return `${curve}: ${formatShare(often as number)} of neurons are active on half of the tokens or more`;
      })
      .join('; ')}.`,
    spec: {
      ...baseSpec({ frequencies: valid }),
      height: HEIGHT,
      data: { name: 'frequencies' },
      mark: { type: 'line', strokeWidth: 1.75, interpolate: 'linear' },
      encoding: {
        x: {
          field: 'share',
          type: 'quantitative',
          title: SHARE.title,
          scale: { domain: [0, 1] },
          axis: axis('share'),
        },
        y: {
          field: 'frequency',
          type: 'quantitative',
          title: FREQUENCY.title,
          scale: { domain: [0, 1] },
          axis: axis('share'),
        },
        color: {
          field: 'curve',
          type: 'nominal',
          title: null,
          sort: curves,
          scale: { domain: curves, range: colors },
        },
        tooltip: tooltipOf([{ field: 'curve', title: 'layer' }, SHARE, FREQUENCY]),
      },
    },
    table: {
      fields: [{ field: 'curve', title: 'layer', kind: 'text' }, SHARE, FREQUENCY],
      rows: [...rows],
    },
    legend: [],
    switches: [],
  };
}
