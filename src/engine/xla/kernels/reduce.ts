import type { Node } from '../graph.js';
import type { Combiner } from '../operations.js';
import {
  asFloat,
  asNumber,
  compare,
  cumulate,
  divide,
  iota,
  multiply,
  pad,
  positiveAxes,
  reduce,
  reshape,
  result,
  scalarLike,
  select,
  sliceAxis,
  splatLike,
  subtract,
  truth,
  unary,
} from '../ops.js';
import { sizeOf } from '../types.js';
import { attribute, type Kernel, type KernelCall, type KernelTable } from './kernel.js';

/** The axes a kernel reduces: all where tfjs gives none. */
function axesOf(call: KernelCall, x: Node, name = 'axis'): number[] {
  const rank = x.type.shape.length;
  const axes = attribute<number | number[] | null | undefined>(call, name);
  return axes == null ? x.type.shape.map((_, i) => i) : positiveAxes(axes, rank);
}

const keeps = (call: KernelCall): boolean => attribute<boolean | undefined>(call, 'keepDims') ?? false;

const reduction =
  (combiner: Combiner, prepare: (x: Node) => Node, axisName?: string): Kernel =>
  (call) => {
    const x = prepare(call.inputs.x!);
    return reduce(combiner, x, axesOf(call, x, axisName), keeps(call));
  };

const mean: Kernel = (call) => {
  const x = asFloat(call.inputs.x!);
  const axes = axesOf(call, x);
  const sum = reduce('add', x, axes, keeps(call));
  const count = sizeOf(axes.map((axis) => x.type.shape[axis]!));
  return multiply(sum, splatLike(sum, 1 / count));
};

/** The first position of an extreme along one axis. */
const position =
  (combiner: 'maximum' | 'minimum'): Kernel =>
  (call) => {
    const x = asNumber(call.inputs.x!);
    const [axis = 0] = axesOf(call, x);
    const extreme = reduce(combiner, x, [axis], true);
    const places = iota(x.graph, { element: 'i32', shape: x.type.shape }, axis);
    const hits = select(compare('EQ', x, extreme), places, splatLike(places, x.type.shape[axis]!));
    return reduce('minimum', hits, [axis]);
  };

const running =
  (combiner: 'add' | 'multiply'): Kernel =>
  (call) => {
    const x = asNumber(call.inputs.x!);
    const [axis = 0] = axesOf(call, x);
    const reverse = attribute<boolean | undefined>(call, 'reverse') ?? false;
    const inclusive = cumulate(combiner, x, axis, reverse);
    if (!attribute<boolean | undefined>(call, 'exclusive')) return inclusive;
    // Each place takes its neighbour's inclusive value, the first one the value that changes nothing.
    const length = x.type.shape[axis]!;
    const shifted = reverse
      ? sliceAxis(inclusive, axis, 1, length)
      : sliceAxis(inclusive, axis, 0, length - 1);
    const before = x.type.shape.map((_, i) => (i === axis && !reverse ? 1 : 0));
    const after = x.type.shape.map((_, i) => (i === axis && reverse ? 1 : 0));
    return pad(shifted, before, after, scalarLike(x, combiner === 'add' ? 0 : 1));
  };

/** Over the last axis, as tfjs has it. The reciprocal is taken once a row, not once an element. */
const softmax: Kernel = ({ inputs }) => {
  const x = asFloat(inputs.logits!);
  const last = x.type.shape.length - 1;
  const exponentials = unary('exponential', subtract(x, reduce('maximum', x, [last], true)));
  const sum = reduce('add', exponentials, [last], true);
  return multiply(exponentials, divide(splatLike(sum, 1), sum));
};

/** The k largest of the last axis and where they stood; equal ones in order of place. */
const topK: Kernel = (call) => {
  const x = asNumber(call.inputs.x!);
  const last = x.type.shape.length - 1;
  const places = iota(x.graph, { element: 'i32', shape: x.type.shape }, last);
  const sorted = x.graph.add({ op: 'sort_descending', axis: last }, x, places);
  const k = attribute<number>(call, 'k');
  return [0, 1].map((i) => sliceAxis(result(sorted, i), last, 0, k));
};

/** Counts (or sums of weights) of the whole numbers below `size`. */
const bincount: Kernel = (call) => {
  const x = call.inputs.x!;
  const weights = call.inputs.weights!;
  const size = attribute<number>(call, 'size');
  const values = reshape(x, [1, sizeOf(x.type.shape)]);
  const bins = iota(x.graph, { element: 'i32', shape: [size, 1] }, 0);
  const hits = compare('EQ', bins, values);
  const counted = sizeOf(weights.type.shape) > 0 ? reshape(asFloat(weights), values.type.shape) : undefined;
  const ones = splatLike(asFloat(values), 1);
  const amounts = counted ?? ones;
  return reduce('add', select(hits, amounts, splatLike(amounts, 0)), [1]);
};

export const REDUCE_KERNELS: KernelTable = {
  All: reduction('and', truth),
  Any: reduction('or', truth),
  ArgMax: position('maximum'),
  ArgMin: position('minimum'),
  Bincount: bincount,
  Cumprod: running('multiply'),
  Cumsum: running('add'),
  Max: reduction('maximum', asNumber, 'reductionIndices'),
  Mean: mean,
  Min: reduction('minimum', asNumber),
  Prod: reduction('multiply', asNumber),
  Softmax: softmax,
  Sum: reduction('add', asNumber),
  TopK: topK,
};
