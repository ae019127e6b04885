import { outputNormRule } from '../rules.js';
import { type Metric, noThresholds } from './metric.js';

/** Exact zeros of h (Sparsing Law §1.2, "straightforward ReLU"): nothing changes by dropping them. */
export const zero: Metric = {
  name: 'zero',
  summary: 'A neuron is inactive for a token where h, which enters the down projection, is exactly 0.',
  settings: () => [{ metric: 'zero' }],
  definition: () =>
    'Share of neurons whose h, which enters the down projection, is not exactly 0: mean over tokens, then over layers.',
  measure: async (context) => ({
    rule: outputNormRule,
    thresholds: noThresholds(context),
    hasThresholds: false,
    status: 'ok',
    crossings: [],
  }),
};
