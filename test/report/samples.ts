import type { Chart } from '../../src/report/chart.js';
import { chunkRatios } from '../../src/report/charts/chunk-ratios.js';
import { fittedCurves } from '../../src/report/charts/fitted-curves.js';
import { lawLimits } from '../../src/report/charts/law-limits.js';
import { layerHeatmap } from '../../src/report/charts/layer-heatmap.js';
import { limitBySize } from '../../src/report/charts/limit-by-size.js';
import { metricsOverTokens } from '../../src/report/charts/metrics-over-tokens.js';
import { neuronFrequencies } from '../../src/report/charts/neuron-frequencies.js';
import { pareto } from '../../src/report/charts/pareto.js';
import { positionRatios } from '../../src/report/charts/position-ratios.js';
import { residuals } from '../../src/report/charts/residuals.js';
import { taskScores } from '../../src/report/charts/task-scores.js';
import { tokenRatios } from '../../src/report/charts/token-ratios.js';
import { trainingLoss } from '../../src/report/charts/training-loss.js';
import { axisOf } from '../../src/report/model.js';
import { assignSeries } from '../../src/report/series.js';

const series = assignSeries([
  { label: 'relu-64', activation: 'relu', size: 1e5 },
  { label: 'relu-128', activation: 'relu', size: 4e5 },
  { label: 'silu-64', activation: 'silu', size: 1e5 },
]);
const tokens = [1e6, 2e6, 5e6, 1e7, 2e7];
const x = axisOf('tokens');
const y = axisOf('activation_ratio');
/** A falling curve whose height depends on the run; no randomness. */
const value = (run: number, t: number) => 0.1 + 0.05 * run + 0.08 * (t / 1e6) ** -0.5;
const points = series.flatMap(({ label, family }, run) =>
  tokens.map((t) => ({ series: label, family, x: t, y: value(run, t) + 0.002 * Math.sin(t) })),
);
const bad = { series: 'relu-64', family: 'relu', x: 0, y: null };

/** One sample of every chart, each with exactly one row that cannot be drawn. */
export const SAMPLES: Record<string, Chart> = {
  'fitted-curves': fittedCurves({
    name: 'fitted-curves',
    title: 'Activation ratio against training tokens',
    x,
    y,
    points: [...points, bad],
    curves: series.flatMap(({ label }, run) =>
      [...tokens, 5e7].map((t) => ({
        series: label,
        x: t,
        y: value(run, t),
        low: value(run, t) - 0.004,
        high: value(run, t) + 0.004,
        part: t > 2e7 ? ('extrapolated' as const) : ('fitted' as const),
      })),
    ),
    limits: series.map(({ label }, run) => ({ series: label, limit: 0.1 + 0.05 * run })),
    series,
    level: 0.95,
  }),
  residuals: residuals({
    name: 'residuals',
    x,
    unit: 'Residual (percentage points)',
    rows: [...points, bad].map(({ y: own, ...row }) => ({
      ...row,
      residual: own === null ? null : Math.sin(row.x) / 5,
    })),
    series,
  }),
  'law-limits': lawLimits({
    name: 'law-limits',
    y,
    rows: series.flatMap(({ label }, run) => [
      {
        series: label,
        law: 'Power law over a floor',
        limit: 0.1 + 0.05 * run,
        low: 0.09 + 0.05 * run,
        high: 0.11 + 0.05 * run,
        deltaAicc: 0,
        weight: 0.8,
      },
      {
        series: label,
        law: 'Exponential over a floor',
        limit: 0.12 + 0.05 * run,
        low: null,
        high: 0.13 + 0.05 * run,
        deltaAicc: 2.8,
        weight: 0.2,
      },
      ...(run === 0
        ? [{ series: label, law: 'Logarithm', limit: null, low: null, high: null, deltaAicc: 12, weight: 0 }]
        : []),
    ]),
    series,
  }),
  'limit-by-size': limitBySize({
    name: 'limit-by-size',
    title: 'Limit against width and depth',
    x: axisOf('width_depth_ratio'),
    y,
    rows: [8, 16, 32, 64, null].map((ratio, i) => ({
      series: series[i % 3]!.label,
      family: series[i % 3]!.family,
      x: ratio,
      limit: Math.min(0.06 + 0.01 * i, 0.08),
      low: 0.055 + 0.01 * i,
      high: 0.065 + 0.01 * i,
    })),
    curves: [8, 32, 64].map((ratio) => ({ curve: 'all', x: ratio, y: Math.min(0.05 + ratio / 1000, 0.08) })),
    bottlenecks: [{ x: 30, low: 20, high: 40 }],
    series,
  }),
  pareto: pareto({
    name: 'pareto',
    run: 'relu-64',
    rows: [
      ...[0.05, 0.1, 0.2, 0.4].flatMap((ratio) => [
        { metric: 'cett', setting: `CETT ${ratio}`, activationRatio: ratio, perplexity: 20 + 0.1 / ratio },
        { metric: 'topk', setting: `top-k ${ratio}`, activationRatio: ratio, perplexity: 20 + 0.3 / ratio },
      ]),
      { metric: 'fat', setting: 'FAT 9', activationRatio: 0, perplexity: null },
    ],
    densePerplexity: 20,
  }),
  'task-scores': taskScores({
    name: 'task-scores',
    title: 'piqa: relu-64 at 20M',
    items: 1838,
    rows: [
      ...[0.05, 0.1, 0.2].map((ratio, i) => ({
        setting: `PPL-${[20, 5, 1][i]}%`,
        activationRatio: ratio,
        accuracy: 0.6 + ratio / 4,
        low: 0.59 + ratio / 4,
        high: 0.61 + ratio / 4,
        difference: ratio / 4 - 0.07,
        differenceError: 0.008,
      })),
      {
        setting: 'top-k 10%',
        activationRatio: 0.1,
        accuracy: null,
        low: null,
        high: null,
        difference: null,
        differenceError: null,
      },
    ],
    dense: { activationRatio: 0.5, accuracy: 0.67 },
  }),
  'layer-heatmap': layerHeatmap({
    name: 'layer-heatmap',
    run: 'relu-64',
    setting: 'PPL-1%',
    rows: [
      ...tokens.flatMap((t) =>
        [0, 1, 2, 3].map((layer) => ({
          layer,
          tokens: t,
          checkpoint: `${t / 1e6}M`,
          activationRatio: value(layer, t),
        })),
      ),
      { layer: 0, tokens: 4e7, checkpoint: '40M', activationRatio: null },
    ],
  }),
  'training-loss': trainingLoss({
    name: 'training-loss',
    rows: [
      ...series.flatMap(({ label }, run) => [
        ...tokens.map((t) => ({
          series: label,
          tokens: t,
          loss: 3 + 10 * value(run, t),
          kind: 'training' as const,
        })),
        { series: label, tokens: 2e7, loss: 4.2 + run / 10, kind: 'validation' as const },
      ]),
      { series: 'relu-64', tokens: 3e7, loss: null, kind: 'training' as const },
    ],
    series,
    averaged: 4,
  }),
  'neuron-frequencies': neuronFrequencies({
    name: 'neuron-frequencies',
    run: 'relu-64',
    setting: 'PPL-1%',
    rows: [
      ...['layer 1', 'layer 2'].flatMap((curve, i) =>
        [0, 0.25, 0.5, 0.75, 1].map((share) => ({ curve, share, frequency: (1 - share) ** (2 + i) })),
      ),
      { curve: 'layer 1', share: null, frequency: null },
    ],
  }),
  'chunk-ratios': chunkRatios({
    name: 'chunk-ratios',
    run: 'relu-64 at 20M',
    setting: 'PPL-1%',
    rows: [
      ...[0, 1].flatMap((layer) =>
        [1, 2, 4, 8].map((size) => ({
          layer,
          tokens: size,
          activationRatio: 1 - (0.9 - 0.1 * layer) ** size,
        })),
      ),
      { layer: 0, tokens: 16, activationRatio: null },
    ],
  }),
  'position-ratios': positionRatios({
    name: 'position-ratios',
    run: 'relu-64 at 20M',
    setting: 'PPL-1%',
    rows: [
      ...Array.from({ length: 16 }, (_, position) => ({
        position,
        activationRatio: 0.1 + 0.1 / (1 + position),
      })),
      { position: 16, activationRatio: null },
    ],
  }),
  'token-ratios': tokenRatios({
    name: 'token-ratios',
    run: 'relu-64 at 20M',
    setting: 'PPL-1%',
    rows: [
      ...['vocabulary entries', 'tokens of the text'].flatMap((curve, i) =>
        [0, 0.25, 0.5, 0.75, 1].map((share) => ({
          curve,
          share,
          activationRatio: 0.3 - (0.2 + i / 20) * share,
        })),
      ),
      { curve: 'tokens of the text', share: null, activationRatio: null },
    ],
  }),
  'metrics-over-tokens': metricsOverTokens({
    name: 'metrics-over-tokens',
    run: 'relu-64',
    rows: [
      ...tokens.flatMap((t) => [
        { setting: 'PPL-1%', tokens: t, activationRatio: value(0, t) },
        { setting: 'exact zeros', tokens: t, activationRatio: value(3, t) },
      ]),
      { setting: 'PPL-1%', tokens: null, activationRatio: 0.1 },
    ],
  }),
};
