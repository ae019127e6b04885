import type { Evaluation } from '../files/evaluation.js';
import type { SparsityMeasurement } from '../files/sparsity.js';
import type { MeasuredModel } from '../sparsity/model.js';
import { LARGEST } from '../sparsity/programs.js';
import { gateRule, outputNormRule, topkRule } from '../sparsity/rules.js';
import { settingLabel } from './checkpoint.js';
import type { Masking } from './scorer.js';

/** The dense model, or a measurement's way of dropping neurons. */
export interface EvaluatedSetting {
  masking: Masking;
  facts: Evaluation['settings'][number];
}

/** Dense first, then the measurements in their order; labels are unique. */
export function settingsToEvaluate(
  measurements: readonly SparsityMeasurement[],
  model: MeasuredModel,
): EvaluatedSetting[] {
  const zeros = new Array<number>(model.layers).fill(0);
  const dense: EvaluatedSetting = {
    masking: { rule: outputNormRule, thresholds: zeros },
    facts: {
      label: 'dense',
      metric: null,
      pPercent: null,
      settingsHash: null,
      activationRatio: null,
      perplexityRatio: null,
    },
  };
  const unique = [...new Map(measurements.map((m) => [m.settingsHash, m])).values()];
  const labels = unique.map(settingLabel);
  return [
    dense,
    ...unique.map((m, i) => ({
      masking: maskingOf(m, model.ff),
      facts: {
        label:
          labels.filter((label) => label === labels[i]).length > 1 ? `${labels[i]} #${i + 1}` : labels[i]!,
        metric: m.metric,
        pPercent: m.pPercent ?? null,
        settingsHash: m.settingsHash,
        activationRatio: m.activationRatio,
        perplexityRatio: m.perplexity.ratio,
      },
    })),
  ];
}

/** What a measurement dropped. */
function maskingOf({ metric, layers, kRatio, settings }: SparsityMeasurement, ff: number): Masking {
  const thresholds = layers.map(({ threshold }) => threshold ?? 0);
  const byGate = metric === 'fat' || (metric === 'topk' && settings.score !== 'output');
  if (metric === 'topk' && settings.pool !== 'layer') {
    const k = Math.floor(kRatio! * ff + 0.5);
    if (k < 1) return { rule: outputNormRule, thresholds: thresholds.map(() => LARGEST) };
    return { rule: topkRule(k, byGate ? 'gate' : 'output'), thresholds };
  }
  return { rule: byGate ? gateRule : outputNormRule, thresholds };
}
