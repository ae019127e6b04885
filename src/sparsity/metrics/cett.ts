import type { MeasureContext } from '../context.js';
import { outputNormRule } from '../rules.js';
import type { Metric, Outcome } from './metric.js';

/** Thresholds for one CETT bound of all layers (Sparsing Law §1.4). */
export async function atBound(context: MeasureContext, bound: number): Promise<Outcome> {
  const { thresholds, cett } = await (await context.calibration()).exact(bound);
  return {
    rule: outputNormRule,
    thresholds,
    hasThresholds: true,
    cett: bound,
    cettCalibration: cett,
    status: 'ok',
    crossings: [],
  };
}

export const cett: Metric = {
  name: 'cett',
  summary:
    'A neuron is dropped where |h|·‖w‖ < eps_l, with eps_l such that dropping leaves the mean relative error of each FFN output at the given bound.',
  parameter: 'cett',
  settings: ({ cett: bounds }) => bounds.map((bound) => ({ metric: 'cett', cett: bound })),
  definition: ({ cett: bound }) =>
    `Share of neurons kept when those with output norm |h|·‖w‖ < eps_l are dropped, eps_l the largest threshold of ` +
    `layer l before the CETT of its dense activations first exceeds ${bound}: mean over tokens, then over layers.`,
  measure: (context, setting) => atBound(context, setting.cett!),
};
