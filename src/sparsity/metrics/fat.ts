import { gateRule } from '../rules.js';
import { type Metric, noThresholds } from './metric.js';

/** FAT-ε with the authors' absolute value (Sparsing Law §1.2): one threshold on the gate for every layer. */
export const fat: Metric = {
  name: 'fat',
  summary: 'A neuron is dropped where its gate activation has |s| < epsilon; one epsilon for all layers.',
  parameter: 'epsilon',
  settings: ({ epsilon }) => epsilon.map((value) => ({ metric: 'fat', epsilon: value })),
  definition: ({ epsilon }) =>
    `Share of neurons kept when those with gate activation |s| < ${epsilon} are dropped in all layers at once ` +
    '(exact zeros are inactive): mean over tokens, then over layers.',
  measure: async (context, { epsilon }) => ({
    rule: gateRule,
    thresholds: noThresholds(context).fill(Math.fround(epsilon!)),
    hasThresholds: true,
    status: 'ok',
    crossings: [],
  }),
};
