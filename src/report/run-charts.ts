import { groupBy } from '../table/group-by.js';
import { isNumber } from './chart.js';
import { type ChartGroup, seriesOf, slug } from './chart-groups.js';
import { checkpointLabel, layerHeatmap } from './charts/layer-heatmap.js';
import { metricsOverTokens } from './charts/metrics-over-tokens.js';
import { pareto } from './charts/pareto.js';
import { type LossRow, trainingLoss } from './charts/training-loss.js';
import { compareNatural, formatCount } from './format.js';
import type { ReportModel } from './model.js';
import { settingOf } from './settings.js';

export function metrics(model: ReportModel): ChartGroup | null {
  const charts = [...groupBy(model.rows, ({ label }) => label)]
    .sort(([a], [b]) => compareNatural(a, b))
    .flatMap(([label, entries]) => {
      const sizes = new Set(entries.map(({ row }) => row.tokens_evaluated)).size;
      const rows = entries.map(({ row }) => ({
        setting:
          sizes > 1
            ? `${settingOf(row)}, ${`${formatCount(row.tokens_evaluated ?? 0)} tokens`}`
            : settingOf(row),
        tokens: row.tokens,
        activationRatio: row.activation_ratio,
      }));
      const fitted = model.fits.some((view) => view.label === label);
      const settings = new Set(rows.map((row) => row.setting)).size;
      const checkpoints = new Set(rows.map((row) => row.tokens)).size;
      if (checkpoints < 2 || (settings < 2 && fitted) || !rows.some((row) => isNumber(row.activationRatio)))
        return [];
      return [
        metricsOverTokens({ name: `metrics-${slug(label)}`, run: model.series.get(label)!.name, rows }),
      ];
    });
  return {
    id: 'metrics',
    title: 'Activation ratio under each metric',
    intro: 'What counts as an active neuron is a choice; level and even direction of the trend depend on it.',
    charts,
  };
}

export function paretoFronts(model: ReportModel): ChartGroup | null {
  const charts = [...groupBy(model.rows, ({ label }) => label)]
    .sort(([a], [b]) => compareNatural(a, b))
    .flatMap(([label, entries]) => {
      const last = entries.reduce((most, { row }) => Math.max(most, row.tokens ?? -1), -1);
      const own = entries.filter(({ row }) => (row.tokens ?? -1) === last && row.ppl_sparse !== null);
      if (new Set(own.map(({ row }) => settingOf(row))).size < 3) return [];
      return [
        pareto({
          name: `pareto-${slug(label)}`,
          run: model.series.get(label)!.name,
          rows: own.map(({ row }) => ({
            // The two scores of top-k are two curves.
            metric: [row.metric, row.score].filter(Boolean).join('-'),
            setting: settingOf(row),
            activationRatio: row.activation_ratio,
            perplexity: row.ppl_sparse,
          })),
          densePerplexity: own.find(({ row }) => row.ppl_dense !== null)?.row.ppl_dense ?? null,
        }),
      ];
    });
  return {
    id: 'pareto',
    title: 'Perplexity against activation ratio',
    intro: 'Every metric at the last checkpoint of a run.',
    charts,
  };
}

export function layers(model: ReportModel): ChartGroup | null {
  const charts = model.sources.runs.flatMap((run) => {
    const bySetting = [
      ...groupBy(run.measurements, (m) => `${m.metric} ${m.pPercent ?? ''} ${m.settingsHash}`).values(),
    ];
    // One map a run: the metric that the laws are fitted to, else the one measured at most checkpoints.
    const rank = (own: (typeof bySetting)[number]) => (own[0]!.metric === 'pplp' ? 1e6 : 0) + own.length;
    const measured = bySetting.sort((a, b) => rank(b) - rank(a))[0];
    if (!measured) return [];
    return [
      layerHeatmap({
        name: `layers-${slug(run.id)}`,
        run: model.nameOf(run.id),
        setting: measured[0]!.definition,
        rows: measured.flatMap((m) =>
          m.layers.map((layer) => ({
            layer: layer.layer,
            tokens: m.tokens,
            checkpoint: checkpointLabel(m.tokens, m.checkpoint),
            activationRatio: layer.activationRatio,
          })),
        ),
      }),
    ];
  });
  return { id: 'layers', title: 'Activation ratio of each layer', intro: '', charts };
}

/** Points of one training curve; more are averaged, which is said in the caption. */
const LOSS_POINTS = 240;

export function losses(model: ReportModel): ChartGroup | null {
  const runs = model.sources.runs.filter(({ metrics }) => metrics.length > 0);
  if (runs.length === 0) return null;
  const longest = runs.reduce((most, { metrics }) => Math.max(most, metrics.length), 0);
  const averaged = Math.max(1, Math.ceil(longest / LOSS_POINTS));
  const rows: LossRow[] = runs.flatMap(({ id, metrics }) => {
    const steps = metrics.flatMap((row) => ('loss_nats_per_token' in row ? [row] : []));
    const training: LossRow[] = [];
    for (let i = 0; i < steps.length; i += averaged) {
      const bin = steps.slice(i, i + averaged);
      const mean = (read: (row: (typeof bin)[number]) => number) =>
        bin.reduce((sum, row) => sum + read(row), 0) / bin.length;
      training.push({
        series: id,
        tokens: mean((r) => r.tokens),
        loss: mean((r) => r.loss_nats_per_token),
        kind: 'training',
      });
    }
    const validation = metrics.flatMap((row): LossRow[] =>
      'validation_loss_nats_per_token' in row
        ? [{ series: id, tokens: row.tokens, loss: row.validation_loss_nats_per_token, kind: 'validation' }]
        : [],
    );
    return [...training, ...validation];
  });
  const chart = trainingLoss({
    name: 'training-loss',
    rows,
    series: seriesOf(
      model.series,
      runs.map(({ id }) => id),
    ),
    averaged,
  });
  return { id: 'training', title: 'Training', intro: '', charts: [chart] };
}
