import type { Graph, Node } from './graph.js';
import { denseLiteral, splatLiteral } from './literals.js';
import type { BinaryName, Combiner, Direction, DotAxes, UnaryName } from './operations.js';
import { splatOf } from './simplify.js';
import { describeType, type ElementType, isFloat, sizeOf, type TensorType } from './types.js';

/** Small functions that record operations: what kernels are written in. */

export const unary = (op: UnaryName, x: Node): Node => x.graph.add({ op }, x);

/** Element by element, with both operands broadcast (NumPy's rules) to one shape. Their element types must agree. */
export function binary(op: BinaryName, a: Node, b: Node): Node {
  const [x, y] = broadcastTogether([a, b]) as [Node, Node];
  return x.graph.add({ op }, x, y);
}

export const add = (a: Node, b: Node): Node => binary('add', a, b);
export const subtract = (a: Node, b: Node): Node => binary('subtract', a, b);
export const multiply = (a: Node, b: Node): Node => binary('multiply', a, b);
export const divide = (a: Node, b: Node): Node => binary('divide', a, b);
export const negate = (x: Node): Node => unary('negate', x);

export function compare(direction: Direction, a: Node, b: Node): Node {
  const [x, y] = broadcastTogether([a, b]) as [Node, Node];
  return x.graph.add({ op: 'compare', direction }, x, y);
}

export function select(condition: Node, whenTrue: Node, whenFalse: Node): Node {
  const [c, t, f] = broadcastTogether([condition, whenTrue, whenFalse]) as [Node, Node, Node];
  return c.graph.add({ op: 'select' }, c, t, f);
}

export const convert = (x: Node, element: ElementType): Node => x.graph.add({ op: 'convert', element }, x);

/** The element type's own test of truth: ≠ 0. */
export const truth = (x: Node): Node => (x.type.element === 'i1' ? x : compare('NE', x, splatLike(x, 0)));

/** Whole numbers and truth values as float32. */
export const asFloat = (x: Node): Node => (isFloat(x.type.element) ? x : convert(x, 'f32'));
/** Truth values as int32, for arithmetic. */
export const asNumber = (x: Node): Node => (x.type.element === 'i1' ? convert(x, 'i32') : x);

export const splat = (graph: Graph, value: number, type: TensorType): Node =>
  graph.add({ op: 'constant', literal: splatLiteral(value, type) });

/** One value in the shape and element type of `x`. */
export const splatLike = (x: Node, value: number): Node => splat(x.graph, value, x.type);

/** A scalar of `x`'s element type. */
export const scalarLike = (x: Node, value: number): Node =>
  splat(x.graph, value, { element: x.type.element, shape: [] });

export const integers = (graph: Graph, values: readonly number[], shape: readonly number[]): Node =>
  graph.add({
    op: 'constant',
    literal: denseLiteral(Int32Array.from(values), { element: 'i32', shape }),
  });

/** 0, 1, 2 … along `axis`. */
export const iota = (graph: Graph, type: TensorType, axis: number): Node =>
  graph.add({ op: 'iota', type, axis });

export const reshape = (x: Node, shape: readonly number[]): Node => x.graph.add({ op: 'reshape', shape }, x);

export const transpose = (x: Node, order: readonly number[]): Node =>
  x.graph.add({ op: 'transpose', order }, x);

export const broadcastInDim = (x: Node, shape: readonly number[], axes: readonly number[]): Node =>
  x.graph.add({ op: 'broadcast_in_dim', shape, axes }, x);

/** Broadcasts by NumPy's rules: axes are matched from the last. */
export function broadcastTo(x: Node, shape: readonly number[]): Node {
  const added = shape.length - x.type.shape.length;
  return broadcastInDim(
    x,
    shape,
    x.type.shape.map((_, i) => i + added),
  );
}

/** Several operands in the one shape that all broadcast to. */
export function broadcastTogether(nodes: readonly Node[]): Node[] {
  const rank = Math.max(...nodes.map(({ type }) => type.shape.length));
  const shape = Array.from({ length: rank }, (_, axis) => {
    const lengths = nodes.map(({ type }) => type.shape[axis - rank + type.shape.length] ?? 1);
    const length = lengths.find((n) => n !== 1) ?? 1;
    if (lengths.some((n) => n !== 1 && n !== length)) {
      throw new Error(
        `${nodes.map(({ type }) => describeType(type)).join(' and ')} do not broadcast together`,
      );
    }
    return length;
  });
  return nodes.map((node) => broadcastTo(node, shape));
}

/** `axes` of negative or positive numbers as positive ones. */
export const positiveAxes = (axes: number | readonly number[], rank: number): number[] =>
  (typeof axes === 'number' ? [axes] : axes).map((axis) => (axis < 0 ? axis + rank : axis));

/** The value that changes nothing when combined. */
function neutral(combiner: Combiner, element: ElementType): number {
  if (combiner === 'add' || combiner === 'or') return 0;
  if (combiner === 'multiply' || combiner === 'and') return 1;
  const most = isFloat(element) ? Number.POSITIVE_INFINITY : 2 ** 31 - 1;
  if (combiner === 'minimum') return most;
  return isFloat(element) ? -most : -(2 ** 31);
}

export function reduce(combiner: Combiner, x: Node, axes: readonly number[], keep = false): Node {
  const sorted = [...axes].sort((a, b) => a - b);
  const start = scalarLike(x, neutral(combiner, x.type.element));
  const reduced = x.graph.add({ op: 'reduce', combiner, axes: sorted }, x, start);
  return keep ? keepAxes(reduced, x, sorted) : reduced;
}

/** A reduced value with length 1 along the reduced axes of `x`. */
export const keepAxes = (reduced: Node, x: Node, axes: readonly number[]): Node =>
  reshape(
    reduced,
    x.type.shape.map((n, i) => (axes.includes(i) ? 1 : n)),
  );

export const cumulate = (combiner: 'add' | 'multiply', x: Node, axis: number, reverse: boolean): Node =>
  x.graph.add(
    { op: 'cumulate', combiner, axis, reverse },
    x,
    scalarLike(x, neutral(combiner, x.type.element)),
  );

export function slice(
  x: Node,
  start: readonly number[],
  limit: readonly number[],
  strides: readonly number[] = start.map(() => 1),
): Node {
  return x.graph.add({ op: 'slice', start, limit, strides }, x);
}

/** One stretch of one axis. */
export const sliceAxis = (x: Node, axis: number, from: number, to: number): Node =>
  slice(
    x,
    x.type.shape.map((_, i) => (i === axis ? from : 0)),
    x.type.shape.map((n, i) => (i === axis ? to : n)),
  );

export const pad = (x: Node, low: readonly number[], high: readonly number[], value: Node): Node =>
  x.graph.add({ op: 'pad', low, high }, x, value);

export const concatenate = (parts: readonly Node[], axis: number): Node =>
  parts[0]!.graph.add({ op: 'concatenate', axis }, ...parts);

export const reverse = (x: Node, axes: readonly number[]): Node => x.graph.add({ op: 'reverse', axes }, x);

export const result = (bundle: Node, index: number): Node =>
  bundle.graph.add({ op: 'result', index }, bundle);

/** x to a constant power as products and roots, which cost less than a logarithm and an exponential. */
export function power(x: Node, exponent: Node): Node {
  const value = splatOf(exponent);
  const size = Math.max(sizeOf(x.type.shape), sizeOf(exponent.type.shape));
  if (value !== undefined && isFloat(x.type.element) && size === sizeOf(x.type.shape)) {
    if (value === 0) return splatLike(x, 1);
    if (value === 1) return x;
    if (value === 2) return multiply(x, x);
    if (value === 3) return multiply(x, multiply(x, x));
    if (value === -1) return divide(splatLike(x, 1), x);
  }
  return binary('power', x, exponent);
}

/** A general product; transposes of the operands become axis numbers where the result's axes stay in order. */
export function dot(x: Node, y: Node, axes: DotAxes): Node {
  const [lhs, lhsBatch, lhsContracting] = throughTranspose(x, axes.lhsBatch, axes.lhsContracting);
  const [rhs, rhsBatch, rhsContracting] = throughTranspose(y, axes.rhsBatch, axes.rhsContracting);
  return lhs.graph.add({ op: 'dot_general', lhsBatch, rhsBatch, lhsContracting, rhsContracting }, lhs, rhs);
}

function throughTranspose(
  x: Node,
  batch: readonly number[],
  contracting: readonly number[],
): [Node, readonly number[], readonly number[]] {
  if (x.operation.op !== 'transpose') return [x, batch, contracting];
  const { order } = x.operation;
  const free = order.filter((_, i) => !batch.includes(i) && !contracting.includes(i));
  if (free.some((axis, i) => i > 0 && axis < free[i - 1]!)) return [x, batch, contracting];
  return [x.inputs[0]!, batch.map((i) => order[i]!), contracting.map((i) => order[i]!)];
}
