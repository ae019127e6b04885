import { outputNormRule } from '../rules.js';
import { type Metric, noThresholds } from './metric.js';

/** CETT's score with FAT's layer policy: separates what neurons are ranked by from how layers share. */
export const global: Metric = {
  name: 'global',
  summary: 'A neuron is dropped where its output norm |h|·‖w‖ < epsilon; one epsilon for all layers.',
  parameter: 'epsilon',
  settings: ({ epsilon }) => epsilon.map((value) => ({ metric: 'global', epsilon: value })),
  definition: ({ epsilon }) =>
    `Share of neurons kept when those with output norm |h|·‖w‖ < ${epsilon} are dropped in all layers at once ` +
    '(exact zeros are inactive): mean over tokens, then over layers.',
  measure: async (context, { epsilon }) => ({
    rule: outputNormRule,
    thresholds: noThresholds(context).fill(Math.fround(epsilon!)),
    hasThresholds: true,
    status: 'ok',
    crossings: [],
  }),
};
