import { roundTo, splatLiteral } from './literals.js';
import type { BinaryName, Graph, Node, Operation, UnaryName } from './operations.js';
import { isFloat, sameShape, sameType, type TensorType } from './types.js';

/** The value of a constant whose elements are all equal. */
export const splatOf = ({ operation }: Node): number | undefined =>
  operation.op === 'constant' ? operation.literal.splat : undefined;

const FOLD_UNARY: Partial<Record<UnaryName, (x: number) => number>> = {
  abs: Math.abs,
  negate: (x) => -x,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
};

const FOLD_BINARY: Partial<Record<BinaryName, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  maximum: (a, b) => Math.max(a, b),
  minimum: (a, b) => Math.min(a, b),
};

/**
 * An existing or simpler node of the same value, if there is one: identities, constants of one value, chains of
 * reshapes. The compiler would find these too; here they keep the program short and readable.
 */
export function simplify(graph: Graph, operation: Operation, inputs: readonly Node[]): Node | undefined {
  const [x, y] = inputs as [Node, Node];
  switch (operation.op) {
    case 'convert':
      if (x.type.element === operation.element) return x;
      return moved(graph, x, { element: operation.element, shape: x.type.shape });
    case 'reshape': {
      if (sameShape(x.type.shape, operation.shape)) return x;
      if (x.operation.op === 'reshape') return graph.add(operation, x.inputs[0]!);
      return moved(graph, x, { element: x.type.element, shape: operation.shape });
    }
    case 'broadcast_in_dim':
      if (sameShape(x.type.shape, operation.shape)) return x;
      return moved(graph, x, { element: x.type.element, shape: operation.shape });
    case 'transpose': {
      if (operation.order.every((axis, i) => axis === i)) return x;
      if (x.operation.op === 'transpose') {
        const inner = x.operation.order;
        return graph.add({ op: 'transpose', order: operation.order.map((i) => inner[i]!) }, x.inputs[0]!);
      }
      return moved(graph, x, {
        element: x.type.element,
        shape: operation.order.map((i) => x.type.shape[i]!),
      });
    }
    case 'slice':
      if (operation.start.every((from, i) => from === 0 && operation.limit[i] === x.type.shape[i])) {
        return operation.strides.every((stride) => stride === 1) ? x : undefined;
      }
      return undefined;
    case 'reverse':
      return operation.axes.length === 0 || splatOf(x) !== undefined ? x : undefined;
    case 'reduce':
      return operation.axes.length === 0 ? x : undefined;
    case 'pad':
      return [...operation.low, ...operation.high].every((n) => n === 0) ? x : undefined;
    case 'concatenate':
      return inputs.length === 1 ? x : undefined;
    case 'select':
      return inputs[1] === inputs[2] ? inputs[1] : undefined;
    case 'negate':
      if (x.operation.op === 'negate') return x.inputs[0];
      return foldUnary(graph, operation.op, x);
    case 'abs':
    case 'sqrt':
    case 'rsqrt':
      return foldUnary(graph, operation.op, x);
    case 'add':
    case 'subtract':
    case 'multiply':
    case 'divide':
    case 'maximum':
    case 'minimum':
      return simplifyBinary(graph, operation.op, x, y);
    default:
      return undefined;
  }
}

/** A constant of one value, in another shape or element type. */
function moved(graph: Graph, x: Node, type: TensorType): Node | undefined {
  const value = splatOf(x);
  return value === undefined ? undefined : graph.add({ op: 'constant', literal: splatLiteral(value, type) });
}

function foldUnary(graph: Graph, name: UnaryName, x: Node): Node | undefined {
  const value = splatOf(x);
  const fold = FOLD_UNARY[name];
  if (value === undefined || !fold || !isFloat(x.type.element)) return undefined;
  return graph.add({ op: 'constant', literal: splatLiteral(fold(value), x.type) });
}

function simplifyBinary(graph: Graph, name: BinaryName, x: Node, y: Node): Node | undefined {
  if (!sameType(x.type, y.type)) return undefined;
  const [a, b] = [splatOf(x), splatOf(y)];
  const fold = FOLD_BINARY[name];
  if (a !== undefined && b !== undefined && fold && x.type.element !== 'i1') {
    const value = roundTo(fold(a, b), x.type.element);
    return graph.add({ op: 'constant', literal: splatLiteral(value, x.type) });
  }
  if (!isFloat(x.type.element)) return undefined;
  // x + 0 differs from x only in the sign of a zero, which no op of tfjs distinguishes but 1/x.
  if ((name === 'add' || name === 'subtract') && b === 0) return x;
  if (name === 'add' && a === 0) return y;
  if ((name === 'multiply' || name === 'divide') && b === 1) return x;
  if (name === 'multiply' && a === 1) return y;
  return undefined;
}
