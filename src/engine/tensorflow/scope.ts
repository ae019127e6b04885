import type { TensorInfo } from '@tensorflow/tfjs-core';
import { constantId, type NodeBackend, type OpAttribute, type OutputMetadata } from './backend.js';

/** A tensor as TensorFlow's binding knows it, without a tensor of tfjs around it. */
export type Handle = OutputMetadata;

/** What a kernel of several ops works with: every result that it does not return is freed at its end. */
export interface Scope {
  readonly backend: NodeBackend;
  readonly made: Set<number>;
}

/** Numbers that a kernel is called with. */
export type Attributes = Readonly<Record<string, number>>;
export type Kernel = (scope: Scope, attributes: Attributes, ...inputs: Handle[]) => readonly Handle[];

/**
 * Runs TensorFlow's ops one after the other without tfjs's bookkeeping of each, which costs the host more than the op.
 * @returns the handles that `body` returns, as tensors of the backend
 */
export function inScope(
  backend: NodeBackend,
  inputs: readonly TensorInfo[],
  body: (scope: Scope, ...handles: Handle[]) => readonly Handle[],
): TensorInfo[] {
  const ids = backend.getInputTensorIds(inputs);
  const handles = inputs.map(({ shape, dtype }, i) => ({
    ...{ id: ids[i]!, shape, dtype: backend.getDTypeInteger(dtype) },
  }));
  const scope: Scope = { backend, made: new Set() };
  try {
    const results = body(scope, ...handles);
    for (const { id } of results) scope.made.delete(id);
    return results.map((result) => backend.createOutputTensor(result));
  } finally {
    for (const id of scope.made) backend.binding.deleteTensor(id);
  }
}

/** Frees a result before the end: large ones are not kept longer than they are needed. */
export function free(scope: Scope, ...handles: readonly Handle[]): void {
  for (const { id } of handles) if (scope.made.delete(id)) scope.backend.binding.deleteTensor(id);
}

/** Results of an op with several. */
export function ops(
  scope: Scope,
  name: string,
  inputs: readonly Handle[],
  attributes: readonly OpAttribute[],
  outputs: number,
): Handle[] {
  const ids = inputs.map(({ id }) => id);
  const results = scope.backend.binding.executeOp(name, attributes, ids, outputs);
  for (const { id } of results) scope.made.add(id);
  return results;
}

const op = (scope: Scope, name: string, inputs: readonly Handle[], attributes: readonly OpAttribute[]) =>
  ops(scope, name, inputs, attributes, 1)[0]!;

export const type = (scope: Scope, name: string, value: number): OpAttribute => ({
  name,
  type: scope.backend.binding.TF_ATTR_TYPE,
  value,
});

const flag = (scope: Scope, name: string, value: boolean): OpAttribute => ({
  name,
  type: scope.backend.binding.TF_ATTR_BOOL,
  value,
});

/** Small numbers that the backend keeps: axes, orders, lengths. */
function integers(scope: Scope, values: readonly number[], shape: readonly number[]): Handle {
  const { backend } = scope;
  const dtype = backend.binding.TF_INT32;
  return { id: constantId(backend.binding, shape, dtype, Int32Array.from(values)), shape: [...shape], dtype };
}
const list = (scope: Scope, values: readonly number[]) => integers(scope, values, [values.length]);

/** A float32 scalar that the backend keeps. */
export function number(scope: Scope, value: number): Handle {
  const { binding } = scope.backend;
  return {
    id: constantId(binding, [], binding.TF_FLOAT, Float32Array.of(value)),
    shape: [],
    dtype: binding.TF_FLOAT,
  };
}

type Binary = 'AddV2' | 'Sub' | 'Mul' | 'ReluGrad' | 'SigmoidGrad' | 'LessEqual';

/** An op on two tensors of one type; broadcasts. */
export const binary = (scope: Scope, name: Binary, a: Handle, b: Handle): Handle =>
  op(scope, name, [a, b], [type(scope, 'T', a.dtype)]);

export const unary = (scope: Scope, name: 'Square' | 'Rsqrt' | 'Softmax', x: Handle): Handle =>
  op(scope, name, [x], [type(scope, 'T', x.dtype)]);

/** Reduces along one axis, which stays with length 1 with `keep`. */
export const reduce = (scope: Scope, name: 'Sum' | 'Mean', x: Handle, axis: number, keep: boolean): Handle =>
  op(
    scope,
    name,
    [x, list(scope, [axis])],
    [
      flag(scope, 'keep_dims', keep),
      type(scope, 'T', x.dtype),
      type(scope, 'Tidx', scope.backend.binding.TF_INT32),
    ],
  );

/** The sum of a matrix's rows. TensorFlow's op for gradients of biases takes a quarter of Sum's time on a GPU. */
export const sumOfRows = (scope: Scope, x: Handle): Handle =>
  op(scope, 'BiasAddGrad', [x], [type(scope, 'T', x.dtype)]);

/** Products of the last two axes; the leading ones broadcast. */
export const product = (
  scope: Scope,
  a: Handle,
  b: Handle,
  turned: { a?: boolean; b?: boolean } = {},
): Handle =>
  op(
    scope,
    'BatchMatMulV2',
    [a, b],
    [
      flag(scope, 'adj_x', turned.a ?? false),
      flag(scope, 'adj_y', turned.b ?? false),
      type(scope, 'T', a.dtype),
    ],
  );

export const transposed = (scope: Scope, x: Handle, order: readonly number[]): Handle =>
  op(
    scope,
    'Transpose',
    [x, list(scope, order)],
    [type(scope, 'T', x.dtype), type(scope, 'Tperm', scope.backend.binding.TF_INT32)],
  );

/** Positions `from` to `to` of an axis. */
export function part(scope: Scope, x: Handle, axis: number, from: number, to: number): Handle {
  const begin = x.shape.map((_, i) => (i === axis ? from : 0));
  const size = x.shape.map((length, i) => (i === axis ? to - from : length));
  const attributes = [type(scope, 'T', x.dtype), type(scope, 'Index', scope.backend.binding.TF_INT32)];
  return op(scope, 'Slice', [x, list(scope, begin), list(scope, size)], attributes);
}

/** Tensors one after the other along an axis. */
export function joined(scope: Scope, parts: readonly Handle[], axis: number): Handle {
  if (parts.length === 1) return parts[0]!;
  const { TF_ATTR_INT, TF_INT32 } = scope.backend.binding;
  return op(
    scope,
    'ConcatV2',
    [...parts, integers(scope, [axis], [])],
    [
      { name: 'N', type: TF_ATTR_INT, value: parts.length },
      type(scope, 'T', parts[0]!.dtype),
      type(scope, 'Tidx', TF_INT32),
    ],
  );
}

/** Zeros after an axis's end, up to a length. */
export function padded(scope: Scope, x: Handle, axis: number, length: number): Handle {
  if (x.shape[axis] === length) return x;
  const { TF_INT32 } = scope.backend.binding;
  const paddings = x.shape.flatMap((n, i) => [0, i === axis ? length - n : 0]);
  const attributes = [type(scope, 'T', x.dtype), type(scope, 'Tpaddings', TF_INT32)];
  return op(scope, 'Pad', [x, integers(scope, paddings, [x.shape.length, 2])], attributes);
}

export function reshaped(scope: Scope, x: Handle, shape: readonly number[]): Handle {
  const attributes = [type(scope, 'T', x.dtype), type(scope, 'Tshape', scope.backend.binding.TF_INT32)];
  return op(scope, 'Reshape', [x, list(scope, shape)], attributes);
}

/** The same bytes as numbers of another type: pairs of the last axis become one complex number each, or the reverse. */
export const recast = (scope: Scope, x: Handle, dtype: number): Handle =>
  op(scope, 'Bitcast', [x], [type(scope, 'T', x.dtype), type(scope, 'type', dtype)]);

/** Rows in the order that int32 `indices` give. */
export function gathered(scope: Scope, x: Handle, indices: Handle): Handle {
  const { TF_ATTR_INT, TF_INT32 } = scope.backend.binding;
  const attributes = [
    { name: 'batch_dims', type: TF_ATTR_INT, value: 0 },
    type(scope, 'Tparams', x.dtype),
    type(scope, 'Tindices', indices.dtype),
    type(scope, 'Taxis', TF_INT32),
  ];
  return op(scope, 'GatherV2', [x, indices, integers(scope, [0], [])], attributes);
}

/** Equally long parts of an axis. */
export function divided(scope: Scope, x: Handle, axis: number, count: number): Handle[] {
  const attributes = [
    { name: 'num_split', type: scope.backend.binding.TF_ATTR_INT, value: count },
    type(scope, 'T', x.dtype),
  ];
  return ops(scope, 'Split', [integers(scope, [axis], []), x], attributes, count);
}

/**
 * The halves of the last axis, swapped. Both ways only copy: Roll is one op and fast on the processor, but on a GPU it
 * divides for every element and axis and takes 15 times what its bytes need (reports/performance.md).
 */
function swapped(scope: Scope, x: Handle): Handle {
  const last = x.shape.length - 1;
  const length = x.shape[last]!;
  const half = length / 2;
  if (scope.backend.isUsingGpuDevice) {
    const halves = [part(scope, x, last, half, length), part(scope, x, last, 0, half)];
    const whole = joined(scope, halves, last);
    free(scope, ...halves);
    return whole;
  }
  const { TF_INT32 } = scope.backend.binding;
  const attributes = [
    type(scope, 'T', x.dtype),
    type(scope, 'Tshift', TF_INT32),
    type(scope, 'Taxis', TF_INT32),
  ];
  return op(scope, 'Roll', [x, integers(scope, [half], []), integers(scope, [last], [])], attributes);
}

/** x·cos + (x with the halves of its last axis swapped)·sin; −1 turns back: the swap takes sin to −sin. */
export const turned = (scope: Scope, sign: 1 | -1, x: Handle, cos: Handle, sin: Handle): Handle => {
  const name = sign === 1 ? 'AddV2' : 'Sub';
  return binary(scope, name, binary(scope, 'Mul', x, cos), binary(scope, 'Mul', swapped(scope, x), sin));
};
