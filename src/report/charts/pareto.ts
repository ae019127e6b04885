import {
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
import { countOf, formatNumber, formatShare, listOf } from '../format.js';
import { MARKERS, ramp, UI_COLORS } from '../palette.js';

/** One metric at one setting on one checkpoint. */
export interface ParetoRow extends Row {
  metric: string;
  /** The metric with its setting, e.g. `top-k 10%`. */
  setting: string;
  activationRatio: number | null;
  perplexity: number | null;
}

export interface ParetoInput {
  name: string;
  /** The run, and the checkpoint it was at. */
  run: string;
  rows: readonly ParetoRow[];
  /** Perplexity with every neuron kept; null where it was not measured. */
  densePerplexity: number | null;
}

const HEIGHT = 260;
/** A perplexity of more times the dense one's is useless, and would squeeze the ones that are not. */
const RUINED = 8;
const METRIC_HUES: Record<string, number> = {
  cett: 258,
  pplp: 220,
  topk: 45,
  'topk-gate': 45,
  'topk-output': 75,
  'topk-layer-gate': 10,
  'topk-layer-output': 110,
  fat: 150,
  global: 325,
  zero: 20,
};

/** Perplexity against activation ratio by metric, at one checkpoint (arXiv 2411.02335, Fig. 2): lower left is better. */
export function pareto({ name, run, rows, densePerplexity }: ParetoInput): Chart {
  const { valid, excluded } = split(
    rows,
    (row) => isNumber(row.activationRatio) && isPositive(row.perplexity),
  );
  const most = densePerplexity === null ? Infinity : densePerplexity * RUINED;
  const drawn = valid.filter((row) => (row.perplexity as number) <= most);
  const metrics = [...new Set(valid.map((row) => row.metric))].sort();
  const colors = metrics.map((metric) => ramp(METRIC_HUES[metric] ?? 95, 1)[0]!.light);
  const shapes = metrics.map((_, i) => MARKERS[i % MARKERS.length]!);
  const xy = {
    x: {
      field: 'activationRatio',
      type: 'quantitative',
      title: 'Activation ratio',
      scale: { zero: false, nice: false },
      axis: { tickCount: 5, labelExpr: formatExpression('datum.value', 'share') },
    },
    y: {
      field: 'perplexity',
      type: 'quantitative',
      title: 'Perplexity',
      scale: { type: 'log', nice: false },
      axis: { tickCount: 5, labelExpr: formatExpression('datum.value', 'plain') },
    },
  };
  return {
    name,
    title: run,
    caption: sentences(
      'Towards the lower left a metric drops more neurons at less cost.',
      densePerplexity !== null &&
        `The dashed line is the dense model (perplexity ${formatNumber(densePerplexity)}).`,
      valid.length > drawn.length &&
        `${countOf(valid.length - drawn.length, 'setting')} of more than ${RUINED} times the dense perplexity ${valid.length - drawn.length === 1 ? 'lies' : 'lie'} beyond the axis.`,
      excludedNote(excluded.length, 'without a finite perplexity or ratio'),
    ),
    alt: `${run}: perplexity against activation ratio for ${listOf(metrics)}, ${countOf(valid.length, 'setting')}. ${metrics
      .map((metric) => {
        const own = valid.filter((row) => row.metric === metric);
        const least = own.reduce((a, b) =>
          (a.activationRatio as number) < (b.activationRatio as number) ? a : b,
        );
        return `${metric} reaches ${formatShare(least.activationRatio as number)} at perplexity ${formatNumber(least.perplexity as number)}`;
      })
      .join('; ')}.`,
    spec: {
      ...baseSpec({
        settings: drawn,
        dense: densePerplexity === null ? [] : [{ perplexity: densePerplexity }],
      }),
      height: HEIGHT,
      layer: [
        {
          data: { name: 'dense' },
          mark: { type: 'rule', strokeDash: [4, 3], color: UI_COLORS.muted.light },
          encoding: { y: { field: 'perplexity', type: 'quantitative' } },
        },
        {
          data: { name: 'settings' },
          mark: { type: 'line', strokeWidth: 1.5, opacity: 0.7 },
          encoding: {
            ...xy,
            color: { field: 'metric', type: 'nominal', scale: { domain: metrics, range: colors } },
          },
        },
        {
          data: { name: 'settings' },
          mark: { type: 'point', filled: true, size: 50, opacity: 1 },
          encoding: {
            ...xy,
            color: {
              field: 'metric',
              type: 'nominal',
              title: null,
              scale: { domain: metrics, range: colors },
            },
            shape: {
              field: 'metric',
              type: 'nominal',
              title: null,
              scale: { domain: metrics, range: shapes },
            },
            tooltip: tooltipOf([
              { field: 'setting', title: 'metric' },
              { field: 'activationRatio', title: 'activation ratio', kind: 'share' },
              { field: 'perplexity', title: 'perplexity', kind: 'plain' },
            ]),
          },
        },
      ],
    },
    table: {
      fields: [
        { field: 'setting', title: 'metric', kind: 'text' },
        { field: 'activationRatio', title: 'activation ratio', kind: 'share' },
        { field: 'perplexity', title: 'perplexity', kind: 'plain' },
      ],
      rows: [...rows],
    },
    legend: [],
    switches: [],
  };
}
