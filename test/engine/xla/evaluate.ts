import type { Node } from '../../../src/engine/xla/graph.js';
import { roundTo } from '../../../src/engine/xla/literals.js';
import type { CustomCall, Operation } from '../../../src/engine/xla/operations.js';
import { splatOf } from '../../../src/engine/xla/simplify.js';
import { sizeOf } from '../../../src/engine/xla/types.js';
import { filled as fillMemory, interpretKernel, type Memory } from './triton-interpreter.js';

/**
 * Values of recorded programs on plain arrays, for the operations that kernels of our own are made of: what such a
 * kernel is held against, and, with `interpretKernel` for the kernel, the program that calls it.
 */
export function evaluate(results: readonly Node[], parameters: readonly Memory[]): Memory[] {
  const known = new Map<Node, Memory[]>();
  const all = (node: Node): Memory[] => {
    const found = known.get(node);
    if (found) return found;
    const values = compute(node, node.inputs.map(all), parameters);
    known.set(node, values);
    return values;
  };
  return results.map((node) => all(node)[0]!);
}

const UNARY: Record<string, (x: number) => number> = {
  abs: Math.abs,
  exponential: Math.exp,
  log: Math.log,
  logistic: (x) => 1 / (1 + Math.exp(-x)),
  negate: (x) => -x,
  optimization_barrier: (x) => x,
  rsqrt: (x) => 1 / Math.sqrt(x),
  sqrt: Math.sqrt,
  tanh: Math.tanh,
};

const BINARY: Record<string, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  divide: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
  multiply: (a, b) => a * b,
  subtract: (a, b) => a - b,
};

const COMPARE: Record<string, (a: number, b: number) => boolean> = {
  EQ: (a, b) => a === b,
  NE: (a, b) => a !== b,
  GE: (a, b) => a >= b,
  GT: (a, b) => a > b,
  LE: (a, b) => a <= b,
  LT: (a, b) => a < b,
};

/** The place of each element along every axis. */
function places(shape: readonly number[], i: number): number[] {
  return shape.map((n, axis) => Math.floor(i / sizeOf(shape.slice(axis + 1))) % n);
}

function compute(
  { operation, inputs, type }: Node,
  operands: Memory[][],
  parameters: readonly Memory[],
): Memory[] {
  const [a, b, c] = operands.map(([first]) => first!) as [Memory, Memory, Memory];
  const { shape, element } = type;
  const filled = (fill: (i: number) => number): Memory[] => [
    fillMemory(sizeOf(shape), (i) => roundTo(fill(i), element)),
  ];
  switch (operation.op) {
    case 'parameter':
      return [parameters[operation.index]!];
    case 'constant':
      return filled(() => splatOf({ operation } as Node)!);
    case 'iota':
      return filled((i) => places(shape, i)[operation.axis]!);
    case 'convert':
    case 'reshape':
      return filled((i) => a[i]!);
    case 'compare':
      return filled((i) => (COMPARE[operation.direction]!(a[i]!, b[i]!) ? 1 : 0));
    case 'select':
      return filled((i) => (a[i] ? b[i]! : c[i]!));
    case 'result':
      return [operands[0]![operation.index]!];
    case 'broadcast_in_dim': {
      const from = inputs[0]!.type.shape;
      // How far an element of the operand is from its neighbour along each axis of the result.
      const steps = shape.map((_, axis) => {
        const own = operation.axes.indexOf(axis);
        return own < 0 || from[own] === 1 ? 0 : sizeOf(from.slice(own + 1));
      });
      return filled((i) => {
        let [at, rest] = [0, i];
        for (let axis = shape.length - 1; axis >= 0; axis--) {
          at += (rest % shape[axis]!) * steps[axis]!;
          rest = Math.floor(rest / shape[axis]!);
        }
        return a[at]!;
      });
    }
    case 'concatenate': {
      const joined = new Float64Array(sizeOf(shape));
      let at = 0;
      while (at < joined.length) {
        for (const [k, [part]] of operands.entries()) {
          const length = sizeOf(inputs[k]!.type.shape.slice(operation.axis));
          const from = (at / sizeOf(shape.slice(operation.axis))) | 0;
          joined.set(part!.subarray(from * length, (from + 1) * length), at);
          at += length;
        }
      }
      return [joined];
    }
    case 'slice': {
      const [from, steps] = [inputs[0]!.type.shape, operation.strides];
      if (shape.length !== 2 || steps.some((step) => step !== 1)) throw new Error('matrices alone');
      const [top, left] = operation.start as [number, number];
      return filled((i) => a[(top + ((i / shape[1]!) | 0)) * from[1]! + left + (i % shape[1]!)]!);
    }
    case 'dot_general':
      return [product(operation, inputs, a, b).map((x) => roundTo(x, element))];
    case 'reduce':
      return reduced(operation, inputs[0]!.type.shape, a, shape);
    case 'custom_call':
      return calledKernel(
        operation,
        operands.map(([first]) => first!),
      );
  }
  const unary = UNARY[operation.op];
  if (unary) return filled((i) => unary(a[i]!));
  const binary = BINARY[operation.op];
  if (!binary) throw new Error(`not evaluated here: ${operation.op}`);
  return filled((i) => binary(a[i]!, b[i]!));
}

/** Of two matrices; sums in double. */
function product(
  { lhsBatch, lhsContracting, rhsContracting }: Extract<Operation, { op: 'dot_general' }>,
  inputs: readonly Node[],
  a: Memory,
  b: Memory,
): Memory {
  const [left, right] = inputs.map(({ type }) => type.shape) as [readonly number[], readonly number[]];
  if (left.length !== 2 || right.length !== 2 || lhsBatch.length > 0) throw new Error('matrices alone');
  // How far a row (or column) is from the next, and an element of the sum.
  const steps = ([_, columns]: readonly number[], along: number) =>
    along === 1 ? [columns!, 1] : [1, columns!];
  const [row, inRow] = steps(left, lhsContracting[0]!) as [number, number];
  const [column, inColumn] = steps(right, rhsContracting[0]!) as [number, number];
  const [rows, columns] = [left[1 - lhsContracting[0]!]!, right[1 - rhsContracting[0]!]!];
  const length = left[lhsContracting[0]!]!;
  return fillMemory(rows * columns, (i) => {
    const [from, to] = [Math.floor(i / columns) * row, (i % columns) * column];
    let sum = 0;
    for (let k = 0; k < length; k++) sum += a[from + k * inRow]! * b[to + k * inColumn]!;
    return sum;
  });
}

/** Sums in double, so that the reference has no order of its own. */
function reduced(
  { combiner, axes }: Extract<Operation, { op: 'reduce' }>,
  from: readonly number[],
  x: Memory,
  shape: readonly number[],
): Memory[] {
  const combine = BINARY[combiner]!;
  const into = new Float64Array(sizeOf(shape)).fill(combiner === 'add' ? 0 : Number.NEGATIVE_INFINITY);
  const kept = from.flatMap((n, axis) =>
    axes.includes(axis) ? [] : [{ n, inner: sizeOf(from.slice(axis + 1)) }],
  );
  for (const [i, value] of x.entries()) {
    let at = 0;
    for (const { n, inner } of kept) at = at * n + (Math.floor(i / inner) % n);
    into[at] = combine(into[at]!, value);
  }
  return [into.map(Math.fround)];
}

function calledKernel({ config, types }: CustomCall, operands: readonly Memory[]): Memory[] {
  const text = /\bir = "([^"]*)"/.exec(config)![1]!;
  const ir = text.replace(/\\([0-9A-F]{2})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)));
  const instances = Number(/grid_x = (\d+)/.exec(config)![1]);
  return interpretKernel(
    ir,
    instances,
    operands,
    types.map(({ shape }) => sizeOf(shape)),
  );
}
