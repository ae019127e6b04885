import {
  add,
  cast,
  greaterEqual,
  less,
  logicalAnd,
  matMul,
  mul,
  range,
  reshape,
  softmax,
  sub,
  type Tensor,
  transpose,
} from '@tensorflow/tfjs-core';
import { fusedCausalAttention } from '../engine/attention.js';
import { fused } from '../engine/fused.js';

/** Added where a query may not look: exp(score − 1e9) is exactly 0 in single precision, and nothing is infinite. */
const BLOCKED = 1e9;

/** [T, T]: 0 where key j ≤ query i (and i − j < window, if there is one), −1e9 elsewhere. */
export function causalBias(length: number, window: number | null = null): Tensor {
  const positions = range(0, length, 1, 'float32');
  const [query, key] = [reshape(positions, [length, 1]), reshape(positions, [1, length])];
  const past = greaterEqual(query, key);
  const visible = window === null ? past : logicalAnd(past, less(sub(query, key), window));
  return mul(sub(cast(visible, 'float32'), 1), BLOCKED);
}

/**
 * softmax(q·kᵀ·scale + bias)·v for each head. Query heads that share a key head are stacked along the rows of
 * one product, so that keys and values are never repeated.
 * @param q [B, T, H, Dh]
 * @param k [B, T, K, Dh], K divides H; @param v the same
 * @param bias [T, T], added to the scaled scores
 * @param onScores applied to the scaled scores [B·H, T, T] before the bias (soft caps of foreign families)
 * @returns [B·T, H·Dh]
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  scale: number,
  bias: Tensor,
  onScores: (scores: Tensor) => Tensor = (scores) => scores,
): Tensor {
  const [batch, length, heads, headDim] = q.shape as [number, number, number, number];
  const keyHeads = k.shape[2]!;
  const groups = heads / keyHeads;
  const queries = reshape(transpose(mul(q, scale), [0, 2, 1, 3]), [
    batch * keyHeads,
    groups * length,
    headDim,
  ]);
  const keys = reshape(transpose(k, [0, 2, 3, 1]), [batch * keyHeads, headDim, length]);
  const values = reshape(transpose(v, [0, 2, 1, 3]), [batch * keyHeads, length, headDim]);
  const scores = reshape(matMul(queries, keys), [batch * heads, length, length]);
  const weights = reshape(softmax(add(onScores(scores), bias)), [batch * keyHeads, groups * length, length]);
  const mixed = reshape(matMul(weights, values), [batch, heads, length, headDim]);
  return reshape(transpose(mixed, [0, 2, 1, 3]), [batch * length, heads * headDim]);
}

/**
 * `attention` with the plain causal mask: one fused kernel where the device has one, else written out.
 * @param bias `causalBias(T)`
 */
export function causalAttention(q: Tensor, k: Tensor, v: Tensor, scale: number, bias: Tensor): Tensor {
  const mixed =
    fusedCausalAttention(q, k, v, scale) ??
    (q.shape[2] === k.shape[2] ? fused('MaskedAttention', [q, k, v], { scale }) : undefined);
  if (!mixed) return attention(q, k, v, scale, bias);
  const [batch, length, heads, headDim] = q.shape as [number, number, number, number];
  return reshape(mixed, [batch * length, heads * headDim]);
}
