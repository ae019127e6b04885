import { backend_util, type DataType, slice_util, type TensorInfo, util } from '@tensorflow/tfjs-core';
import type { Graph, Node } from '../graph.js';
import { denseLiteral } from '../literals.js';
import {
  add,
  asFloat,
  broadcastInDim,
  broadcastTo,
  compare,
  concatenate,
  convert,
  iota,
  multiply,
  pad,
  positiveAxes,
  reshape,
  reverse,
  scalarLike,
  select,
  slice,
  sliceAxis,
  splat,
  splatLike,
  transpose,
} from '../ops.js';
import { elementOf, sizeOf } from '../types.js';
import { attribute, type Kernel, type KernelCall, type KernelTable, listOf } from './kernel.js';

/** tfjs's helpers take a tensor for its shape alone. */
const shapeOnly = (x: Node): TensorInfo => ({ shape: [...x.type.shape] }) as TensorInfo;

const axisOf = (call: KernelCall, rank: number, name = 'axis'): number =>
  positiveAxes(attribute<number>(call, name), rank)[0]!;

/** Operands of a join in one element type. */
function joined(parts: Node[]): Node[] {
  return parts.some(({ type }) => type.element !== parts[0]!.type.element) ? parts.map(asFloat) : parts;
}

const concat: Kernel = (call) => {
  const parts = listOf(call).filter(({ type }) => sizeOf(type.shape) > 0);
  const all = parts.length > 0 ? parts : listOf(call).slice(0, 1);
  return concatenate(joined(all), axisOf(call, all[0]!.type.shape.length));
};

const pack: Kernel = (call) => {
  const parts = joined(listOf(call));
  const axis = axisOf(call, parts[0]!.type.shape.length + 1);
  const single = (x: Node) => reshape(x, x.type.shape.toSpliced(axis, 0, 1));
  return concatenate(parts.map(single), axis);
};

const unpack: Kernel = (call) => {
  const x = call.inputs.value!;
  const axis = axisOf(call, x.type.shape.length);
  const shape = x.type.shape.toSpliced(axis, 1);
  return Array.from({ length: x.type.shape[axis]! }, (_, i) => reshape(sliceAxis(x, axis, i, i + 1), shape));
};

const splitV: Kernel = (call) => {
  const x = call.inputs.x!;
  const axis = axisOf(call, x.type.shape.length);
  const sizes = backend_util.prepareSplitSize(
    shapeOnly(x) as Parameters<typeof backend_util.prepareSplitSize>[0],
    attribute<number | number[]>(call, 'numOrSizeSplits'),
    axis,
  );
  let from = 0;
  return sizes.map((size) => {
    from += size;
    return sliceAxis(x, axis, from - size, from);
  });
};

const plainSlice: Kernel = (call) => {
  const x = call.inputs.x!;
  const [begin, size] = slice_util.parseSliceParams(
    shapeOnly(x),
    attribute<number | number[]>(call, 'begin'),
    attribute<number | number[] | undefined>(call, 'size'),
  ) as [number[], number[]];
  return slice(
    x,
    begin,
    begin.map((from, i) => from + size[i]!),
  );
};

const stridedSlice: Kernel = (call) => {
  const x = call.inputs.x!;
  const mask = (name: string) => attribute<number>(call, name);
  const info = slice_util.sliceInfo(
    [...x.type.shape],
    attribute<number[]>(call, 'begin'),
    attribute<number[]>(call, 'end'),
    attribute<number[]>(call, 'strides'),
    mask('beginMask'),
    mask('endMask'),
    mask('ellipsisMask'),
    mask('newAxisMask'),
    mask('shrinkAxisMask'),
  );
  const { begin, end, strides, finalShape, finalShapeSparse } = info;
  if (sizeOf(finalShapeSparse) === 0)
    return splat(x.graph, 0, { element: x.type.element, shape: finalShape });
  // A negative stride walks the reversed axis forwards.
  const backwards = strides.flatMap((stride, i) => (stride < 0 ? [i] : []));
  const place = (at: number, i: number) => (strides[i]! < 0 ? x.type.shape[i]! - 1 - at : at);
  const picked = slice(
    reverse(x, backwards),
    begin.map(place),
    end.map((at, i) => Math.min(place(at, i), x.type.shape[i]!)),
    strides.map(Math.abs),
  );
  return reshape(picked, finalShape);
};

const padded: Kernel = (call) => {
  const x = call.inputs.x!;
  const paddings = attribute<[number, number][]>(call, 'paddings');
  return pad(
    x,
    paddings.map(([low]) => low),
    paddings.map(([, high]) => high),
    scalarLike(x, attribute<number>(call, 'constantValue')),
  );
};

/** Each axis grows by its own mirror image, without the edge (`reflect`) or with it (`symmetric`). */
const mirrorPad: Kernel = (call) => {
  const skip = attribute<string>(call, 'mode') === 'reflect' ? 1 : 0;
  return attribute<[number, number][]>(call, 'paddings').reduce((x, [low, high], axis) => {
    const length = x.type.shape[axis]!;
    const before = reverse(sliceAxis(x, axis, skip, skip + low), [axis]);
    const after = reverse(sliceAxis(x, axis, length - skip - high, length - skip), [axis]);
    const parts = [...(low > 0 ? [before] : []), x, ...(high > 0 ? [after] : [])];
    return concatenate(parts, axis);
  }, call.inputs.x!);
};

/** Copies: [n0, n1] seen as [r0, n0, r1, n1]; axes of length 1 need no second axis. */
const tile: Kernel = (call) => {
  const x = call.inputs.x!;
  const reps = attribute<number[]>(call, 'reps');
  const { shape } = x.type;
  const whole = shape.map((n, i) => n * reps[i]!);
  if (shape.every((n, i) => n === 1 || reps[i] === 1)) return broadcastTo(x, whole);
  const interleaved = shape.flatMap((n, i) => [reps[i]!, n]);
  return reshape(
    broadcastInDim(
      x,
      interleaved,
      shape.map((_, i) => 2 * i + 1),
    ),
    whole,
  );
};

const fill: Kernel = (call) => {
  const value = attribute<number | boolean>(call, 'value');
  const dtype = attribute<DataType | undefined>(call, 'dtype') ?? util.inferDtype(value);
  const element = elementOf(dtype);
  if (!element) throw new Error(`fill with dtype ${dtype}`);
  return splat(call.graph, Number(value), { element, shape: attribute<number[]>(call, 'shape') });
};

/** Longest sequence that is written out; longer ones are counted on the device. */
const WRITTEN_OUT = 16;

function sequence(graph: Graph, start: number, step: number, count: number, element: 'f32' | 'i32'): Node {
  const type = { element, shape: [count] };
  if (count <= WRITTEN_OUT) {
    const values = Array.from({ length: count }, (_, i) => start + step * i);
    const literal = denseLiteral(
      element === 'f32' ? Float32Array.from(values) : Int32Array.from(values),
      type,
    );
    return graph.add({ op: 'constant', literal });
  }
  const whole = Number.isInteger(start) && Number.isInteger(step);
  const places = iota(graph, whole ? { element: 'i32', shape: [count] } : type, 0);
  const scaled = step === 1 ? places : multiply(places, splatLike(places, step));
  return convert(start === 0 ? scaled : add(scaled, splatLike(scaled, start)), element);
}

const range: Kernel = (call) => {
  const number = (name: string) => attribute<number>(call, name);
  const [start, stop, step] = [number('start'), number('stop'), number('step')];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  const element = attribute<string>(call, 'dtype') === 'int32' ? 'i32' : 'f32';
  return sequence(call.graph, start, step, count, element);
};

const linSpace: Kernel = (call) => {
  const number = (name: string) => attribute<number>(call, name);
  const count = number('num');
  const step = count > 1 ? (number('stop') - number('start')) / (count - 1) : 0;
  return sequence(call.graph, number('start'), step, count, 'f32');
};

/** [a, b] → [a, b, a, b] with x where both halves of the index agree. */
const diag: Kernel = ({ inputs, graph }) => {
  const x = inputs.x!;
  const size = sizeOf(x.type.shape);
  const flat = reshape(x, [size, 1]);
  const place = (axis: number) => iota(graph, { element: 'i32', shape: [size, size] }, axis);
  const square = select(compare('EQ', place(0), place(1)), flat, scalarLike(x, 0));
  return reshape(square, [...x.type.shape, ...x.type.shape]);
};

export const SHAPE_KERNELS: KernelTable = {
  Concat: concat,
  Diag: diag,
  ExpandDims: (call) => {
    const { shape } = call.inputs.input!.type;
    const axis = axisOf(call, shape.length + 1, 'dim');
    return reshape(call.inputs.input!, shape.toSpliced(axis, 0, 1));
  },
  Fill: fill,
  LinSpace: linSpace,
  MirrorPad: mirrorPad,
  Pack: pack,
  PadV2: padded,
  Range: range,
  Reshape: (call) => {
    const x = call.inputs.x!;
    return reshape(x, util.inferFromImplicitShape(attribute<number[]>(call, 'shape'), sizeOf(x.type.shape)));
  },
  Reverse: (call) => {
    const x = call.inputs.x!;
    return reverse(x, positiveAxes(attribute<number | number[]>(call, 'dims'), x.type.shape.length));
  },
  Slice: plainSlice,
  SplitV: splitV,
  StridedSlice: stridedSlice,
  Tile: tile,
  Transpose: (call) => transpose(call.inputs.x!, attribute<number[]>(call, 'perm')),
  Unpack: unpack,
};
