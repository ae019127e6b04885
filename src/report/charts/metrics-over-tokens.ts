import {
  type Axis,
  axisForms,
  baseSpec,
  type Chart,
  excludedNote,
  isNumber,
  isPositive,
  positionOf,
  type Row,
  type Spec,
  sentences,
  split,
  tooltipOf,
} from '../chart.js';
import { countOf, formatShare } from '../format.js';
import { MARKERS, ramp } from '../palette.js';

export interface MetricRow extends Row {
  /** The metric with its setting. */
  setting: string;
  tokens: number | null;
  activationRatio: number | null;
}

export interface MetricsOverTokensInput {
  name: string;
  run: string;
  rows: readonly MetricRow[];
}

const HEIGHT = 260;
const HUES = [258, 45, 150, 325, 195, 20, 95, 290];
const TOKENS: Axis = { field: 'tokens', title: 'Training tokens', kind: 'count' };
const RATIO: Axis = { field: 'activationRatio', title: 'Activation ratio', kind: 'share' };

/** The same run under each metric: even the direction of the trend may depend on it. */
export function metricsOverTokens({ name, run, rows }: MetricsOverTokensInput): Chart {
  const { valid, excluded } = split(rows, (row) => isPositive(row.tokens) && isNumber(row.activationRatio));
  const settings = [...new Set(valid.map((row) => row.setting))];
  const xs = valid.map((row) => row.tokens as number);
  const forms: [Spec, Spec] = [positionOf(TOKENS, 'linear', xs), positionOf(TOKENS, 'log', xs)];
  const domain = { domain: settings };
  // Side by side, and on a phone in larger letters, names with bounds and numbers of tokens would be cut off.
  const legend = { columns: 1, labelLimit: 260, labelFontSize: 11 };
  return {
    name,
    title: run,
    caption: sentences(excludedNote(excluded.length, 'without tokens or a value')),
    alt: `${run}: activation ratio against training tokens by metric, ${countOf(valid.length, 'point')}. ${settings
      .map((setting) => {
        const own = valid.filter((row) => row.setting === setting);
        return `${setting} goes from ${formatShare(own[0]!.activationRatio as number)} to ${formatShare(own.at(-1)!.activationRatio as number)}`;
      })
      .join('; ')}.`,
    spec: {
      ...baseSpec({ points: valid }),
      height: HEIGHT,
      data: { name: 'points' },
      mark: { type: 'line', strokeWidth: 1.75, point: { filled: true, size: 30 } },
      encoding: {
        x: forms[1],
        y: positionOf(
          RATIO,
          'linear',
          valid.map((row) => row.activationRatio as number),
        ),
        color: {
          field: 'setting',
          type: 'nominal',
          title: null,
          legend,
          scale: { ...domain, range: settings.map((_, i) => ramp(HUES[i % HUES.length]!, 1)[0]!.light) },
        },
        shape: {
          field: 'setting',
          type: 'nominal',
          title: null,
          legend,
          scale: { ...domain, range: settings.map((_, i) => MARKERS[i % MARKERS.length]!) },
        },
        tooltip: tooltipOf([{ field: 'setting', title: 'metric' }, TOKENS, RATIO]),
      },
      usermeta: axisForms({ x: forms }),
    },
    table: { fields: [{ field: 'setting', title: 'metric', kind: 'text' }, TOKENS, RATIO], rows: [...rows] },
    legend: [],
    switches: ['x'],
  };
}
