import type { MeasureContext } from '../context.js';
import { average, total } from '../evaluate.js';
import { outputNormRule, type Rule } from '../rules.js';

/** What one masked pass over the windows of the sweeps says. */
export type SweepPoint = {
  activation_ratio: number;
  loss_sparse_nats_per_token: number;
  ppl_ratio: number;
};

/**
 * One masked pass over the calibration windows, where sweeps are made: a curve needs less text than a result.
 * @param thresholds [layers]
 */
export async function sweepPoint(
  context: MeasureContext,
  rule: Rule,
  thresholds: readonly number[],
): Promise<SweepPoint> {
  const { session, gridWindows } = context;
  const sparse = await context.gridMasked(rule, thresholds);
  const dense = await context.gridMasked(
    outputNormRule,
    thresholds.map(() => 0),
  );
  const loss = average(sparse.loss);
  const perLayer = gridWindows.count * gridWindows.seqLen * session.model.ff;
  return {
    activation_ratio: average(sparse.active.map((row) => total(row) / perLayer)),
    loss_sparse_nats_per_token: loss,
    ppl_ratio: Math.exp(loss - average(dense.loss)),
  };
}
