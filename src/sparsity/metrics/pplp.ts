import type { MeasureContext } from '../context.js';
import { searchPerplexity } from '../perplexity-search.js';
import { outputNormRule } from '../rules.js';
import { atBound } from './cett.js';
import { type Metric, noThresholds, type Outcome, type Setting } from './metric.js';

/** CETT-PPL-p% (Sparsing Law §1.5): the CETT bound at which perplexity has risen by p %. */
export const pplp: Metric = {
  name: 'pplp',
  summary:
    'As cett, with the one bound of all layers chosen so that perplexity rises by p % (the metric of the laws).',
  parameter: 'p',
  settings: ({ p }) => p.map((pPercent) => ({ metric: 'pplp', pPercent })),
  definition: ({ pPercent, cett }) =>
    pPercent === 0
      ? 'Share of neurons that are not exactly 0, so that perplexity does not rise at all: mean over tokens, then over layers.'
      : `Share of neurons kept when those with output norm |h|·‖w‖ < eps_l are dropped, eps_l from one CETT bound of all ` +
        `layers ${cett === undefined ? `at which perplexity first rises by ${pPercent} %` : `at which perplexity rises by ${pPercent} % on the run's last checkpoints`}: ` +
        'mean over tokens, then over layers.',
  measure,
};

async function measure(context: MeasureContext, { pPercent, cett }: Setting): Promise<Outcome> {
  if (pPercent === 0) return exactZeros(context, 'ok');
  if (cett !== undefined && cett > 0) {
    // Found elsewhere; at the very top of its range it is no interior answer here either.
    return { ...(await atBound(context, cett)), status: cett === 1 ? 'at-bound' : 'ok' };
  }
  if (cett === 0) return exactZeros(context, 'at-bound');
  const answer = await searchPerplexity(
    {
      grid: await context.grid(),
      known: context.known,
      evaluate: context.logRatio,
      judge: context.judge,
      sample: context.sampledLogRatio,
    },
    Math.log1p(pPercent! / 100),
    context.tolerance,
  );
  if (answer.cett === 0) return { ...exactZeros(context, answer.status), crossings: answer.crossings };
  return { ...(await atBound(context, answer.cett)), status: answer.status, crossings: answer.crossings };
}

/** Nothing is dropped but what is exactly 0. */
const exactZeros = (context: MeasureContext, status: Outcome['status']): Outcome => ({
  rule: outputNormRule,
  thresholds: noThresholds(context),
  hasThresholds: false,
  cett: 0,
  status,
  crossings: [],
});
