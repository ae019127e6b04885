import { gateRule, outputNormRule, topkRule } from '../rules.js';
import { thresholdsForShare } from '../share-search.js';
import { type Metric, noThresholds } from './metric.js';

/** Top-k per token as the paper's text reads; `pool: 'layer'` is what its code does (Sparsing Law §1.3). */
export const topk: Metric = {
  name: 'topk',
  summary: 'Per token and layer the k = floor(ratio·d_ff + 0.5) largest |s| are kept, the same k everywhere.',
  parameter: 'k',
  settings: ({ k, pool, score }) => k.map((kRatio) => ({ metric: 'topk', kRatio, pool, score })),
  definition: ({ kRatio, pool, score }) => {
    const what = score === 'output' ? 'output norm |h|·‖w‖' : 'gate activation |s|';
    const where =
      pool === 'layer'
        ? `the share ${kRatio} of all (token, neuron) pairs of a layer with the largest ${what} is kept, by a threshold from the calibration tokens`
        : `each token keeps in each layer the floor(${kRatio}·d_ff + 0.5) neurons with the largest ${what}`;
    return `Share of neurons kept when ${where} (exact zeros are inactive): mean over tokens, then over layers.`;
  },
  measure: async (context, { kRatio, pool, score }) => {
    const { session, calibrationWindows } = context;
    if (pool === 'layer') {
      const rule = score === 'output' ? outputNormRule : gateRule;
      const thresholds = await thresholdsForShare(session, rule, calibrationWindows, kRatio!);
      return { rule, thresholds, hasThresholds: true, status: 'ok', crossings: [] };
    }
    const k = Math.floor(kRatio! * session.model.ff + 0.5);
    // Keeping none has no k-th largest: a threshold that no output norm reaches says the same.
    if (k < 1) {
      const thresholds = noThresholds(context).fill(Math.fround(3e38));
      return { rule: outputNormRule, thresholds, hasThresholds: false, status: 'ok', crossings: [] };
    }
    return {
      rule: topkRule(k, score ?? 'gate'),
      thresholds: noThresholds(context),
      hasThresholds: false,
      status: 'ok',
      crossings: [],
    };
  },
};
