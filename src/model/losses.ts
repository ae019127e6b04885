import {
  add,
  cast,
  customGrad,
  equal,
  exp,
  type GradSaveFunc,
  gather,
  log,
  max,
  mul,
  range,
  reshape,
  sub,
  sum,
  type Tensor,
} from '@tensorflow/tfjs-core';
import { fused } from '../engine/fused.js';

/**
 * Cross-entropy of each row, −log softmax(logits)[target], in nats.
 * The gradient (softmax − one-hot)·dy is written out: the automatic one would scatter into a second [N, V].
 * @param logits [N, V]
 * @param targets [N] int32, below V
 * @returns [N]
 */
export function tokenLosses(logits: Tensor, targets: Tensor): Tensor {
  return fused('RowLosses', [logits, targets]) ?? plainTokenLosses(logits, targets);
}

function plainTokenLosses(logits: Tensor, targets: Tensor): Tensor {
  const [rows, vocabulary] = logits.shape as [number, number];
  const losses = customGrad((x, save) => {
    const scores = x as Tensor;
    const top = max(scores, -1, true);
    const logSum = log(sum(exp(sub(scores, top)), -1, true));
    const picked = gather(scores, reshape(targets, [rows, 1]), 1, 1);
    // The targets too: a tensor made in the forward pass and not saved is gone before the backward pass.
    (save as GradSaveFunc)([scores, add(logSum, top), targets]);
    const gradFunc = (dy: Tensor, saved: Tensor[]) => {
      const [s, l, wanted] = saved as [Tensor, Tensor, Tensor];
      const ids = range(0, vocabulary, 1, 'int32');
      const hit = equal(reshape(wanted, [rows, 1]), reshape(ids, [1, vocabulary]));
      return mul(sub(exp(sub(s, l)), cast(hit, 'float32')), reshape(dy, [rows, 1]));
    };
    // The two large numbers are subtracted from each other first: the loss is small beside them.
    return { value: reshape(add(logSum, sub(top, picked)), [rows]), gradFunc };
  });
  return losses(logits) as Tensor;
}
