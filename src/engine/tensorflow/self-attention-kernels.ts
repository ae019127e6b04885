import { HEADS_FIRST, mix, mixGradient } from './attention-kernels.js';
import type { NodeBackend } from './backend.js';
import {
  type Attributes,
  binary,
  divided,
  free,
  gathered,
  type Handle,
  joined,
  type Kernel,
  product,
  recast,
  reshaped,
  type Scope,
  transposed,
} from './scope.js';

/*
 * Llama's rotation turns the pair (x_i, x_{i + Dh/2}) of a head by an angle: as a complex number x_i + i·x_{i + Dh/2},
 * it is multiplied by cos + i·sin. In place of swapping halves, two products and a sum (five ops that pass over all of q,
 * and five over k), one complex product then turns them, if the two of a pair are neighbours in memory. For that nothing
 * is moved but rows of the weights, a hundredth of the bytes: gathered in the order of `pairing`, they give queries and
 * keys whose places in a head are 0, Dh/2, 1, Dh/2 + 1 … Scores do not depend on the order of the places. Transposing is
 * cheaper too: TensorFlow does it element by element, and there are half as many.
 */

/** [B, T, 3, H, pair] → [3, B, H, T, pair]: queries, keys and values then lie one after the other, and part for nothing. */
const KIND_FIRST = [2, 0, 3, 1, 4];
const HEADS = 1;

/**
 * From a layer's normalised x to what enters its output projection: one product gives queries, keys and values.
 * @returns y, and for the gradient the three weights as one, then what `mix` returned
 */
export const selfAttention: Kernel = (scope, attributes, x, ...weights) => {
  const { tokens, width, heads, length, headDim, rows } = sizes(attributes, x!);
  const { order, queryTurns, keyTurns } = pairing(scope.backend, attributes, width);
  const together = gathered(scope, joined(scope, weights, 0), order);
  const projected = product(scope, x!, together, { b: true });
  const pairs = asPairs(scope, projected, [rows, length, 3, heads, headDim]);
  const apart = transposed(scope, pairs, KIND_FIRST);
  free(scope, projected, pairs);
  const [q, k, v] = divided(scope, apart, 0, 3) as [Handle, Handle, Handle];
  free(scope, apart);
  const turned = [binary(scope, 'Mul', q, queryTurns), binary(scope, 'Mul', k, keyTurns), v];
  free(scope, q, k);
  const [queries, keys, values] = turned.map((one) =>
    asNumbers(scope, one, [rows, heads, length, headDim]),
  ) as [Handle, Handle, Handle];
  const kept = mix(scope, queries, keys, values);
  const y = reshaped(scope, transposed(scope, kept[0], HEADS_FIRST), [tokens, width]);
  return [y, together, ...kept];
};

export const selfAttentionGradient: Kernel = (scope, attributes, x, ...rest) => {
  const { tokens, width, heads, length, headDim, rows } = sizes(attributes, x!);
  const { back, turnsBack } = pairing(scope.backend, attributes, width);
  const [, , , together, ...kept] = rest;
  const dy = reshaped(scope, kept.pop()!, [rows, length, heads, headDim]);
  const parts = mixGradient(scope, kept, transposed(scope, dy, HEADS_FIRST));
  const whole = joined(scope, parts, HEADS);
  free(scope, ...parts);
  const pairs = asPairs(scope, whole, whole.shape);
  const turned = binary(scope, 'Mul', pairs, turnsBack);
  free(scope, whole, pairs);
  const apart = transposed(scope, turned, HEADS_FIRST);
  free(scope, turned);
  const dProjected = asNumbers(scope, apart, [tokens, 3 * width]);
  const dWeights = gathered(scope, product(scope, dProjected, x!, { a: true }), back);
  return [product(scope, dProjected, together!), ...divided(scope, dWeights, 0, 3)];
};

function sizes({ length, heads }: Attributes, { shape }: Handle) {
  const [tokens, width] = shape as [number, number];
  return { tokens, width, heads: heads!, length: length!, headDim: width / heads!, rows: tokens / length! };
}

/** Neighbours as complex numbers: `shape` with half as many in its last axis. */
function asPairs(scope: Scope, x: Handle, shape: readonly number[]): Handle {
  const apart = reshaped(scope, x, [...shape.slice(0, -1), shape.at(-1)! / 2, 2]);
  const pairs = recast(scope, apart, scope.backend.binding.TF_COMPLEX64);
  // Both are views of x, whose memory is freed with the last of them.
  free(scope, apart);
  return pairs;
}

function asNumbers(scope: Scope, pairs: Handle, shape: readonly number[]): Handle {
  const apart = recast(scope, pairs, scope.backend.binding.TF_FLOAT);
  const numbers = reshaped(scope, apart, shape);
  free(scope, apart);
  return numbers;
}

interface Pairing {
  /** [3·D]: which row of the weights each row of the gathered ones is, and the reverse. */
  readonly order: Handle;
  readonly back: Handle;
  /** [1, T, Dh/2] complex: scale·e^(i·t·θ^(−2j/Dh)), and the same without `scale`. */
  readonly queryTurns: Handle;
  readonly keyTurns: Handle;
  /** [3·H, T, Dh/2] complex: their conjugates for each head of queries and of keys, 1 for those of values. */
  readonly turnsBack: Handle;
}

const pairings = new Map<string, Pairing>();

/** Kept, as every layer and step takes the same. */
function pairing(backend: NodeBackend, attributes: Attributes, width: number): Pairing {
  const { length, heads, scale, theta } = attributes as Record<
    'length' | 'heads' | 'scale' | 'theta',
    number
  >;
  const key = [length, heads, scale, theta, width].join();
  const known = pairings.get(key);
  if (known) return known;
  const half = width / heads / 2;
  const order = pairOrder(width, half);
  const back = new Int32Array(order.length);
  for (const [at, from] of order.entries()) back[from] = at;
  const { TF_INT32 } = backend.binding;
  const table = (tables: readonly Float32Array[]) => uploadedPairs(backend, tables, [length, half]);
  const turns = (factor: number, direction: 1 | -1) => turnsOf(length, half, theta, factor, direction);
  const ofAllHeads = (turn: Float32Array) => Array.from({ length: heads }, () => turn);
  const ones = Float32Array.from({ length: 2 * length * half }, (_, i) => (i % 2 === 0 ? 1 : 0));
  const made: Pairing = {
    order: uploaded(backend, order, [3 * width], TF_INT32),
    back: uploaded(backend, back, [3 * width], TF_INT32),
    queryTurns: table([turns(scale, 1)]),
    keyTurns: table([turns(1, 1)]),
    turnsBack: table([turns(scale, -1), turns(1, -1), ones].flatMap(ofAllHeads)),
  };
  pairings.set(key, made);
  return made;
}

/** 0, half, 1, half + 1 … in each head of queries and keys; values keep their order. */
const pairOrder = (width: number, half: number): Int32Array =>
  Int32Array.from({ length: 3 * width }, (_, at) => {
    const place = at % (2 * half);
    return at < 2 * width ? at - place + (place % 2) * half + (place >> 1) : at;
  });

/** [T, half] pairs: factor·e^(±i·t·θ^(−j/half)) */
function turnsOf(
  length: number,
  half: number,
  theta: number,
  factor: number,
  direction: 1 | -1,
): Float32Array {
  const values = new Float32Array(2 * length * half);
  for (let at = 0; at < length * half; at++) {
    const angle = Math.floor(at / half) * theta ** (-(at % half) / half);
    values[2 * at] = factor * Math.cos(angle);
    values[2 * at + 1] = direction * factor * Math.sin(angle);
  }
  return values;
}

function uploaded(
  { binding }: NodeBackend,
  values: Int32Array | Float32Array,
  shape: number[],
  dtype: number,
) {
  return { id: binding.createTensor(shape, dtype, values), shape, dtype };
}

/** One after the other, as complex numbers; the binding takes them only as their parts. */
function uploadedPairs(
  backend: NodeBackend,
  tables: readonly Float32Array[],
  shape: readonly number[],
): Handle {
  const { binding } = backend;
  const size = tables[0]!.length;
  const values = new Float32Array(tables.length * size);
  for (const [i, table] of tables.entries()) values.set(table, i * size);
  const parts = uploaded(backend, values, [tables.length, ...shape, 2], binding.TF_FLOAT);
  const scope = { backend, made: new Set<number>() };
  const pairs = recast(scope, parts, binding.TF_COMPLEX64);
  binding.deleteTensor(parts.id);
  return pairs;
}
