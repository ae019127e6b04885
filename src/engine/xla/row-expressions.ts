import type { Node } from './graph.js';
import { splatOf } from './simplify.js';
import { isPointwise, type KernelBuilder, type RowCombiner, type Space, type Stored } from './triton.js';
import { sameShape } from './types.js';

/** Expressions of values of one shape [N, D] as kernels compute them: what they read, and how they are printed. */

export interface Dims {
  readonly count: number;
  readonly width: number;
}

export const isFull = ({ type }: Node, { count, width }: Dims) => sameShape(type.shape, [count, width]);
const isRow = ({ type: { shape } }: Node, count: number) =>
  sameShape(shape, [count]) || sameShape(shape, [count, 1]);

/** 0, 1, 2 … as numbers of the columns, [1, D]. */
function isNumbering({ operation, inputs, type }: Node, width: number): boolean {
  if (type.element !== 'i32' || !sameShape(type.shape, [1, width])) return false;
  return operation.op === 'reshape' ? isIota(inputs[0]!, 0) : isIota({ operation }, 1);
}

const isIota = ({ operation }: Pick<Node, 'operation'>, axis: number): boolean =>
  operation.op === 'iota' && operation.axis === axis;

/**
 * The stored values under an expression of shape [N, D]; undefined where something else is in it.
 * @param isRead whether a value in bfloat16 is read; one that is not was rounded from an expression, and is again
 */
export function leavesOf(
  body: Node,
  dims: Dims,
  isRead: (stored: Node) => boolean = () => true,
): Map<Node, Space> | undefined {
  const leaves = new Map<Node, Space>();
  const seen = new Set<Node>();
  const visit = (node: Node): boolean => {
    if (seen.has(node) || splatOf(node) !== undefined) return true;
    seen.add(node);
    const { operation, inputs, type } = node;
    if (isFull(node, dims)) {
      if (operation.op === 'convert' && inputs[0]!.type.element === 'bf16') {
        const [stored] = inputs as [Node];
        if (!isRead(stored)) return visit(stored.inputs[0]!);
        leaves.set(stored, 'full');
        return true;
      }
      if (operation.op === 'broadcast_in_dim') {
        const [x] = inputs as [Node];
        if (splatOf(x) !== undefined || isNumbering(x, dims.width)) return true;
        if (isRow(x, dims.count) && operation.axes[0] === 0) return visit(x);
        if (!sameShape(x.type.shape, [dims.width]) || operation.axes[0] !== 1 || x.type.element !== 'f32')
          return false;
        leaves.set(x, 'column');
        return true;
      }
      return isPointwise(node) && inputs.every(visit);
    }
    if (!isRow(node, dims.count)) return false;
    if (operation.op === 'reshape' && isRow(inputs[0]!, dims.count)) return visit(inputs[0]!);
    if (operation.op === 'broadcast_in_dim' && isRow(inputs[0]!, dims.count)) return visit(inputs[0]!);
    if (isPointwise(node)) return inputs.every(visit);
    if (type.element !== 'f32' && type.element !== 'i32') return false;
    leaves.set(node, 'row');
    return true;
  };
  return visit(body) ? leaves : undefined;
}

/**
 * Names of values within one round of a kernel, each written once.
 * @param own stored values that the kernel computes itself, and what they are stored of
 * @param shared names of values that all rows share
 */
export function evaluator(
  build: KernelBuilder,
  dims: Dims,
  own: ReadonlyMap<Node, { readonly body: Node }>,
  shared: ReadonlyMap<Node, string>,
  inputOf: (node: Node) => { name: string; stored: Stored; from?: number },
) {
  const names = new Map<Node, string>();
  const once = (node: Node, make: () => string): string => {
    const known = names.get(node);
    if (known) return known;
    const name = make();
    names.set(node, name);
    return name;
  };
  const full = (node: Node): string =>
    once(node, () => {
      const { operation, inputs } = node;
      const value = splatOf(node);
      if (value !== undefined) return build.constant(value, 'full');
      const [x] = inputs as [Node];
      if (operation.op === 'convert' && x.type.element === 'bf16') {
        const point = own.get(x);
        if (point) return build.rounded(full(point.body));
        const { name, stored, from } = inputOf(x);
        return build.load(name, 'full', stored, from);
      }
      if (operation.op === 'broadcast_in_dim') {
        const scalar = splatOf(x);
        if (scalar !== undefined) return build.constant(scalar, 'full');
        if (isNumbering(x, dims.width)) return build.columns;
        return isRow(x, dims.count) && operation.axes[0] === 0
          ? build.spread(row(x), 'row', x.type.element === 'i32' ? 'i32' : 'f32')
          : shared.get(x)!;
      }
      return build.pointwise(node, inputs.map(full), 'full');
    });
  const row = (node: Node): string =>
    once(node, () => {
      const value = splatOf(node);
      if (value !== undefined) return build.constant(value, 'row');
      const point = own.get(node);
      const { operation, inputs } = node;
      if (point && operation.op === 'reduce') {
        return build.reduce(operation.combiner as RowCombiner, full(point.body), 'row');
      }
      const moves = operation.op === 'reshape' || operation.op === 'broadcast_in_dim';
      if (moves && isRow(inputs[0]!, dims.count)) return row(inputs[0]!);
      if (isPointwise(node)) return build.pointwise(node, inputs.map(row), 'row');
      const { name, stored } = inputOf(node);
      return build.load(name, 'row', stored);
    });
  return { full, row };
}
