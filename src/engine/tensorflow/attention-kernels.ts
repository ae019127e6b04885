import type { NodeBackend } from './backend.js';
import {
  binary,
  free,
  type Handle,
  joined,
  type Kernel,
  number,
  padded,
  part,
  product,
  reduce,
  type Scope,
  transposed,
  unary,
} from './scope.js';

/** [B, T, H, D] ↔ [B, H, T, D] */
export const HEADS_FIRST = [0, 2, 1, 3];
const TIME = 2;

/**
 * Queries go in blocks, each with the keys up to its end: of the scores above the diagonal, which count for nothing,
 * half are never computed with two blocks, and three quarters with four.
 */
function blocksOf(length: number): [from: number, to: number][] {
  const count = length >= BLOCKED_FROM && length % BLOCKS === 0 ? BLOCKS : 1;
  const size = length / count;
  return Array.from({ length: count }, (_, i) => [i * size, (i + 1) * size]);
}
const BLOCKS = 2;
/** Shorter sequences have so few scores that the ops of more blocks cost more than they save. */
const BLOCKED_FROM = 256;

/**
 * Attention of each head.
 * @param queries q·scale, heads first; @param keys, @param values also
 * @returns the mix, heads first, and for each block its queries, the keys and values that they see, and their weights:
 *   the gradient then cuts none of them again
 */
export function mix(scope: Scope, queries: Handle, keys: Handle, values: Handle): [Handle, ...Handle[]] {
  const kept: Handle[] = [];
  const mixes = blocksOf(queries.shape[TIME]!).map(([from, to]) => {
    const some = cut(scope, queries, from, to);
    const [seenKeys, seenValues] = [cut(scope, keys, 0, to), cut(scope, values, 0, to)];
    const scores = product(scope, some, seenKeys, { b: true });
    const masked = binary(scope, 'AddV2', scores, bias(scope.backend, from, to));
    free(scope, scores);
    const weights = unary(scope, 'Softmax', masked);
    free(scope, masked);
    kept.push(some, seenKeys, seenValues, weights);
    return product(scope, weights, seenValues);
  });
  return [joined(scope, mixes, TIME), ...kept];
}

/**
 * `mix`'s gradient by queries, keys and values. Softmax's needs Σ_j dp_j·p_j of each row: that is Σ dy·y over the
 * head, a much smaller sum.
 * @param kept what `mix` returned
 */
export function mixGradient(scope: Scope, kept: readonly Handle[], dMixed: Handle): [Handle, Handle, Handle] {
  const [mixed, ...ofBlocks] = kept;
  const length = dMixed.shape[TIME]!;
  const sums = reduce(scope, 'Sum', binary(scope, 'Mul', dMixed, mixed!), -1, true);
  const parts = blocksOf(length).map(([from, to], i) => {
    const [some, seenKeys, seenValues, weights] = ofBlocks.slice(4 * i) as [Handle, Handle, Handle, Handle];
    const dSome = cut(scope, dMixed, from, to);
    const dWeights = product(scope, dSome, seenValues, { b: true });
    const centred = binary(scope, 'Sub', dWeights, cut(scope, sums, from, to));
    free(scope, dWeights);
    const dScores = binary(scope, 'Mul', weights, centred);
    free(scope, centred);
    const dQueries = product(scope, dScores, seenKeys);
    const dKeys = padded(scope, product(scope, dScores, some, { a: true }), TIME, length);
    free(scope, dScores);
    const dValues = padded(scope, product(scope, weights, dSome, { a: true }), TIME, length);
    return { dQueries, dKeys, dValues };
  });
  const total = (of: 'dKeys' | 'dValues') =>
    parts.map((each) => each[of]).reduce((a, b) => binary(scope, 'AddV2', a, b));
  const dQueries = joined(
    scope,
    parts.map((each) => each.dQueries),
    TIME,
  );
  return [dQueries, total('dKeys'), total('dValues')];
}

/** @returns y, and for the gradient what `mix` returned */
export const maskedAttention: Kernel = (scope, { scale }, q, k, v) => {
  const queries = transposed(scope, binary(scope, 'Mul', q!, number(scope, scale!)), HEADS_FIRST);
  const [keys, values] = [k!, v!].map((x) => transposed(scope, x, HEADS_FIRST)) as [Handle, Handle];
  const kept = mix(scope, queries, keys, values);
  return [transposed(scope, kept[0], HEADS_FIRST), ...kept];
};

export const maskedAttentionGradient: Kernel = (scope, { scale }, ...all) => {
  const dMixed = transposed(scope, all.at(-1)!, HEADS_FIRST);
  const [dQueries, dKeys, dValues] = mixGradient(scope, all.slice(3, -1), dMixed);
  return [binary(scope, 'Mul', dQueries, number(scope, scale!)), dKeys, dValues].map((x) =>
    transposed(scope, x, HEADS_FIRST),
  );
};

/** Positions `from` to `to`; the tensor itself where those are all. */
const cut = (scope: Scope, x: Handle, from: number, to: number): Handle =>
  from === 0 && to === x.shape[TIME] ? x : part(scope, x, TIME, from, to);

/** exp(score − 1e9) is exactly 0 in single precision, and nothing is infinite. */
const BLOCKED = -1e9;

const biases = new Map<string, Handle>();

/** [to − from, to]: 0 where query from + i sees key j, −1e9 where not; kept, as every layer and step takes the same. */
function bias(backend: NodeBackend, from: number, to: number): Handle {
  const key = `${from}–${to}`;
  let known = biases.get(key);
  if (!known) {
    const values = Float32Array.from({ length: (to - from) * to }, (_, i) =>
      i % to <= from + Math.floor(i / to) ? 0 : BLOCKED,
    );
    const { binding } = backend;
    const id = binding.createTensor([to - from, to], binding.TF_FLOAT, values);
    known = { id, shape: [to - from, to], dtype: binding.TF_FLOAT };
    biases.set(key, known);
  }
  return known;
}
