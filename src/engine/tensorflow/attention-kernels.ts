import type { NodeBackend } from './backend.js';
import {
  type Attributes,
  binary,
  divided,
  free,
  type Handle,
  joined,
  type Kernel,
  number,
  padded,
  part,
  product,
  reduce,
  reshaped,
  type Scope,
  transposed,
  turned,
  unary,
} from './scope.js';

/** [B, T, H, D] ↔ [B, H, T, D] */
const HEADS_FIRST = [0, 2, 1, 3];
const HEADS = 1;
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
 * @returns the mix, heads first, and each block's weights
 */
function mix(scope: Scope, queries: Handle, keys: Handle, values: Handle): [Handle, ...Handle[]] {
  const weights: Handle[] = [];
  const mixes = blocksOf(queries.shape[TIME]!).map(([from, to]) => {
    const [some, seen] = [cut(scope, queries, from, to), cut(scope, keys, 0, to)];
    const scores = product(scope, some, seen, { b: true });
    const masked = binary(scope, 'AddV2', scores, bias(scope.backend, from, to));
    free(scope, scores);
    weights.push(unary(scope, 'Softmax', masked));
    free(scope, masked);
    return product(scope, weights.at(-1)!, cut(scope, values, 0, to));
  });
  return [joined(scope, mixes, TIME), ...weights];
}

/**
 * `mix`'s gradient by queries, keys and values. Softmax's needs Σ_j dp_j·p_j of each row: that is Σ dy·y over the
 * head, a much smaller sum.
 * @param kept queries, keys, values and what `mix` returned
 */
function mixGradient(scope: Scope, kept: readonly Handle[], dMixed: Handle): [Handle, Handle, Handle] {
  const [queries, keys, values, mixed, ...weights] = kept;
  const length = queries!.shape[TIME]!;
  const sums = reduce(scope, 'Sum', binary(scope, 'Mul', dMixed, mixed!), -1, true);
  const parts = blocksOf(length).map(([from, to], i) => {
    const [some, dSome] = [cut(scope, queries!, from, to), cut(scope, dMixed, from, to)];
    const dWeights = product(scope, dSome, cut(scope, values!, 0, to), { b: true });
    const centred = binary(scope, 'Sub', dWeights, cut(scope, sums, from, to));
    free(scope, dWeights);
    const dScores = binary(scope, 'Mul', weights[i]!, centred);
    free(scope, centred);
    const dQueries = product(scope, dScores, cut(scope, keys!, 0, to));
    const dKeys = padded(scope, product(scope, dScores, some, { a: true }), TIME, length);
    free(scope, dScores);
    const dValues = padded(scope, product(scope, weights[i]!, dSome, { a: true }), TIME, length);
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

/** @returns y, and for the gradient q·scale, k, v heads first, and what `mix` returned */
export const maskedAttention: Kernel = (scope, { scale }, q, k, v) => {
  const queries = transposed(scope, binary(scope, 'Mul', q!, number(scope, scale!)), HEADS_FIRST);
  const [keys, values] = [k!, v!].map((x) => transposed(scope, x, HEADS_FIRST)) as [Handle, Handle];
  const [mixed, ...weights] = mix(scope, queries, keys, values);
  return [transposed(scope, mixed, HEADS_FIRST), queries, keys, values, mixed, ...weights];
};

export const maskedAttentionGradient: Kernel = (scope, { scale }, ...all) => {
  const dMixed = transposed(scope, all.at(-1)!, HEADS_FIRST);
  const [dQueries, dKeys, dValues] = mixGradient(scope, all.slice(3, -1), dMixed);
  return [binary(scope, 'Mul', dQueries, number(scope, scale!)), dKeys, dValues].map((x) =>
    transposed(scope, x, HEADS_FIRST),
  );
};

/**
 * From a layer's normalised x to what enters its output projection: one product gives queries, keys and values. They
 * part before queries and keys are turned: values would pass through those ops only to stay as they are.
 * @returns y, and for the gradient the three weights as one, then as `maskedAttention`
 */
export const selfAttention: Kernel = (scope, attributes, x, ...weights) => {
  const { tokens, width, heads, length, headDim, rows } = sizes(attributes, x!);
  const together = joined(scope, weights, 0);
  const projected = product(scope, x!, together, { b: true });
  const apart = transposed(
    scope,
    reshaped(scope, projected, [rows, length, 3 * heads, headDim]),
    HEADS_FIRST,
  );
  const [q, k, values] = divided(scope, apart, HEADS, 3);
  free(scope, apart);
  const tables = turningTables(scope.backend, attributes, headDim);
  const queries = turned(scope, 1, q!, ...tables.queries);
  const keys = turned(scope, 1, k!, ...tables.keys);
  const [mixed, ...seen] = mix(scope, queries, keys, values!);
  const y = reshaped(scope, transposed(scope, mixed, HEADS_FIRST), [tokens, width]);
  return [y, together, queries, keys, values!, mixed, ...seen];
};

export const selfAttentionGradient: Kernel = (scope, attributes, x, ...rest) => {
  const { tokens, width, heads, length, headDim, rows } = sizes(attributes, x!);
  const [, , , together, ...kept] = rest;
  const dy = reshaped(scope, kept.pop()!, [rows, length, heads, headDim]);
  const [dQueries, dKeys, dValues] = mixGradient(scope, kept, transposed(scope, dy, HEADS_FIRST));
  const tables = turningTables(scope.backend, attributes, headDim);
  const dQ = turned(scope, -1, dQueries, ...tables.queries);
  const dK = turned(scope, -1, dKeys, ...tables.keys);
  const dApart = joined(scope, [dQ, dK, dValues], HEADS);
  const dProjected = reshaped(scope, transposed(scope, dApart, HEADS_FIRST), [tokens, 3 * width]);
  const dWeights = product(scope, dProjected, x!, { a: true });
  return [product(scope, dProjected, together!), ...divided(scope, dWeights, 0, 3)];
};

function sizes({ length, heads }: Attributes, { shape }: Handle) {
  const [tokens, width] = shape as [number, number];
  return { tokens, width, heads: heads!, length: length!, headDim: width / heads!, rows: tokens / length! };
}

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

type Tables = readonly [cos: Handle, sin: Handle];

const turnings = new Map<string, { readonly queries: Tables; readonly keys: Tables }>();

/**
 * [T, Dh] each, for `turned`: Llama's rotation by angles t·θ^(−2i/Dh) of keys, and of queries, which it also multiplies
 * by `scale`. Kept, as every layer and step takes the same.
 */
function turningTables(backend: NodeBackend, { length, scale, theta }: Attributes, headDim: number) {
  const key = [length, scale, theta, headDim].join();
  const known = turnings.get(key);
  if (known) return known;
  const made = {
    queries: turningTable(backend, length!, headDim, theta!, scale!),
    keys: turningTable(backend, length!, headDim, theta!, 1),
  };
  turnings.set(key, made);
  return made;
}

function turningTable(
  { binding }: NodeBackend,
  length: number,
  headDim: number,
  theta: number,
  factor: number,
): Tables {
  const half = headDim / 2;
  const cos = new Float32Array(length * headDim);
  const sin = new Float32Array(cos.length);
  for (let at = 0; at < cos.length; at++) {
    const place = at % headDim;
    const angle = Math.floor(at / headDim) * theta ** ((-2 * (place % half)) / headDim);
    cos[at] = factor * Math.cos(angle);
    sin[at] = (place < half ? -factor : factor) * Math.sin(angle);
  }
  const upload = (values: Float32Array): Handle => {
    const [shape, dtype] = [[length, headDim], binding.TF_FLOAT];
    return { id: binding.createTensor(shape, dtype, values), shape, dtype };
  };
  return [upload(cos), upload(sin)];
}
