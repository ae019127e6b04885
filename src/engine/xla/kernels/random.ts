import type { Node } from '../graph.js';
import {
  add,
  binary,
  concatenate,
  convert,
  multiply,
  reshape,
  result,
  sliceAxis,
  splatLike,
  unary,
} from '../ops.js';
import { sizeOf } from '../types.js';
import { attribute, type KernelCall, type KernelTable } from './kernel.js';

/** `count` Threefry words of the state [key low, key high, counter low, counter high] (int32 bits). */
function words(call: KernelCall, count: number): Node {
  const state = reshape(call.inputs.state!, [2, 2]);
  const bits = call.graph.add({ op: 'bitcast_convert', element: 'u64' }, state);
  return result(call.graph.add({ op: 'rng_bit_generator', count }, bits), 1);
}

/** The upper 24 bits as multiples of 2⁻²⁴. */
function uniform(word: Node): Node {
  const upper = binary('shift_right_logical', word, splatLike(word, 8));
  const value = convert(upper, 'f32');
  return multiply(value, splatLike(value, 2 ** -24));
}

/** Box–Muller on the pairs of words, each (w0 + 1)/2³² and w1/2³². */
function normal(pairs: Node): Node {
  const column = (i: number) => convert(sliceAxis(pairs, 1, i, i + 1), 'f32');
  const first = column(0);
  const unit = multiply(add(first, splatLike(first, 1)), splatLike(first, 2 ** -32));
  const logarithm = unary('log', unit);
  const radius = unary('sqrt', multiply(logarithm, splatLike(logarithm, -2)));
  const second = column(1);
  const angle = multiply(second, splatLike(second, (2 * Math.PI) / 2 ** 32));
  const [x, y] = [unary('cosine', angle), unary('sine', angle)];
  return concatenate([multiply(radius, x), multiply(radius, y)], 1);
}

/** Kernels of this engine alone: random values from a state, equal to `src/random.ts`'s streams. */
export const RANDOM_KERNELS: KernelTable = {
  ThreefryUniform: (call) => {
    const shape = attribute<number[]>(call, 'shape');
    return reshape(uniform(words(call, sizeOf(shape))), shape);
  },
  ThreefryNormal: (call) => {
    const shape = attribute<number[]>(call, 'shape');
    const size = sizeOf(shape);
    // An odd count leaves the last word unused.
    const even = size + (size % 2);
    const values = reshape(normal(reshape(words(call, even), [even / 2, 2])), [even]);
    return reshape(sliceAxis(values, 0, 0, size), shape);
  },
};
