import { argMax, cast, gather, mul, reshape, stack, sum, type Tensor } from '@tensorflow/tfjs-core';
import { tokenLosses } from '../model/losses.js';
import type { MeasuredModel } from '../sparsity/model.js';
import { isNonZero, type ModelState, maskedHiddenStates } from '../sparsity/programs.js';
import type { Rule } from '../sparsity/rules.js';

export type ScoreInput = {
  /** [B, T] int32, padded on the right: what follows a token changes nothing before it. */
  tokens: Tensor;
  /** int32 [B·T, 1], 1 for a token and 0 for padding. */
  real: Tensor;
  /** int32 [R]: rows of [B·T] whose next token is asked for. */
  rows: Tensor;
  /** int32 [R]: that next token. */
  targets: Tensor;
  /** [L, 1]. */
  thresholds: Tensor;
};

export type ScoreResult = {
  /** −log p of each target in nats, [R]. */
  losses: Tensor;
  /** The likeliest next token of each row, int32 [R]. */
  best: Tensor;
  /** Neurons kept and not exactly zero on real tokens, int32 [L]. */
  active: Tensor;
};

/** The masked forward pass with logits only where they are asked for: contexts are long, answers short. */
export function scoreProgram(model: MeasuredModel, rule: Rule) {
  return (state: ModelState, { tokens, real, rows, targets, thresholds }: ScoreInput): ScoreResult => {
    const active: Tensor[] = [];
    const hidden = maskedHiddenStates(model, rule, state, tokens, thresholds, (h) => {
      active.push(sum(mul(cast(isNonZero(h), 'int32'), real)));
    });
    const logits = model.logits(state.parameters, gather(hidden, rows));
    const R = rows.shape[0]!;
    return {
      losses: tokenLosses(logits, targets),
      best: reshape(cast(argMax(logits, -1), 'int32'), [R]),
      active: stack(active),
    };
  };
}
