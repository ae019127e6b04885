import type { MetricName } from '../../files/sparsity.js';
import type { MeasureContext } from '../context.js';
import type { Rule, Score } from '../rules.js';

/** One metric with its parameters: what one result file answers. */
export interface Setting {
  metric: MetricName;
  pPercent?: number;
  epsilon?: number;
  kRatio?: number;
  /** Bound given by the user (cett), or found on other checkpoints and applied here (pplp). */
  cett?: number;
  /** topk: a threshold per token, or the authors' per layer. */
  pool?: 'token' | 'layer';
  score?: Score;
}

/** The lists a user may give; each metric turns those it knows into settings. */
export interface MetricParameters {
  p: readonly number[];
  epsilon: readonly number[];
  k: readonly number[];
  cett: readonly number[];
  pool: 'token' | 'layer';
  score: Score;
}

/** Which neurons a setting drops on one checkpoint. */
export interface Outcome {
  rule: Rule;
  /** [layers]; what `rule` takes. */
  thresholds: readonly number[];
  /** Whether the thresholds mean anything to a reader (they do not for zero and per-token topk). */
  hasThresholds: boolean;
  /** The one CETT bound of all layers. */
  cett?: number;
  /** CETT reached on the calibration tokens, [layers]. */
  cettCalibration?: readonly number[];
  status: 'ok' | 'at-bound';
  crossings: readonly number[];
}

export interface Metric {
  name: MetricName;
  /** What it counts as active, in one sentence. */
  summary: string;
  /** Name of the flag whose list it needs, if any. */
  parameter?: 'p' | 'epsilon' | 'k' | 'cett';
  settings(parameters: MetricParameters): Setting[];
  /** The sentence that defines the result, parameters filled in. */
  definition(setting: Setting): string;
  measure(context: MeasureContext, setting: Setting): Promise<Outcome>;
}

export const noThresholds = (context: MeasureContext): number[] =>
  new Array<number>(context.session.model.layers).fill(0);
