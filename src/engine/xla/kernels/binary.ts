import type { Node } from '../graph.js';
import type { BinaryName, Direction } from '../operations.js';
import {
  add,
  asFloat,
  asNumber,
  binary,
  broadcastTogether,
  compare,
  convert,
  divide,
  multiply,
  power,
  scalarLike,
  select,
  splatLike,
  subtract,
  truth,
  unary,
} from '../ops.js';
import { isFloat } from '../types.js';
import { type Kernel, type KernelTable, listOf } from './kernel.js';

/** Both operands in one element type: float32 if either is, whole numbers otherwise. */
function matched(a: Node, b: Node): [Node, Node] {
  if (a.type.element === b.type.element) return [asNumber(a), asNumber(b)];
  if (isFloat(a.type.element) || isFloat(b.type.element)) return [asFloat(a), asFloat(b)];
  return [asNumber(a), asNumber(b)];
}

type Pair = (a: Node, b: Node) => Node;

const pairs = (table: Readonly<Record<string, Pair>>): KernelTable =>
  Object.fromEntries(
    Object.entries(table).map(([name, record]): [string, Kernel] => [
      name,
      ({ inputs }) => record(inputs.a!, inputs.b!),
    ]),
  );

const arithmetic =
  (op: BinaryName): Pair =>
  (a, b) =>
    binary(op, ...matched(a, b));
const comparison =
  (direction: Direction): Pair =>
  (a, b) =>
    compare(direction, ...matched(a, b));
const logical =
  (op: BinaryName): Pair =>
  (a, b) =>
    binary(op, truth(a), truth(b));

/** ⌊a/b⌋, a whole number as on tfjs's cpu backend; StableHLO's integer division cuts towards zero. */
function floorDivide(left: Node, right: Node): Node {
  const [a, b] = broadcastTogether(matched(left, right)) as [Node, Node];
  if (isFloat(a.type.element)) return convert(unary('floor', divide(a, b)), 'i32');
  const quotient = divide(a, b);
  return select(roundsUp(a, b), subtract(quotient, splatLike(quotient, 1)), quotient);
}

/** Whether cutting a/b towards zero is above ⌊a/b⌋: a remainder is left and the signs differ. */
function roundsUp(a: Node, b: Node): Node {
  const rest = binary('remainder', a, b);
  const left = compare('NE', rest, splatLike(rest, 0));
  const signsDiffer = compare(
    'NE',
    compare('LT', rest, splatLike(rest, 0)),
    compare('LT', b, splatLike(b, 0)),
  );
  return binary('and', left, signsDiffer);
}

/** The remainder with the divisor's sign. */
function modulo(left: Node, right: Node): Node {
  const [a, b] = broadcastTogether(matched(left, right)) as [Node, Node];
  const rest = binary('remainder', a, b);
  return select(roundsUp(a, b), add(rest, b), rest);
}

/** tfjs raises whole numbers in double precision: through float32 and back here. */
function raise(left: Node, right: Node): Node {
  const [a, b] = matched(left, right);
  if (isFloat(a.type.element)) return power(a, b);
  return convert(unary('round_nearest_even', power(asFloat(a), asFloat(b))), 'i32');
}

const prelu: Kernel = ({ inputs }) => {
  const x = asFloat(inputs.x!);
  return select(compare('GT', x, scalarLike(x, 0)), x, multiply(x, asFloat(inputs.alpha!)));
};

const eluGradient: Kernel = ({ inputs }) => {
  const [dy, y] = [inputs.dy!, inputs.y!];
  return select(compare('GT', y, splatLike(y, 0)), dy, multiply(dy, add(y, splatLike(y, 1))));
};

const chosen: Kernel = ({ inputs }) => {
  const [t, e] = matched(inputs.t!, inputs.e!);
  const condition = truth(inputs.condition!);
  // A condition of rank 1 picks rows, as tfjs's kernel has it.
  const picksRows = condition.type.shape.length === 1 && t.type.shape.length > 1;
  const spread = picksRows
    ? condition.graph.add({ op: 'broadcast_in_dim', shape: t.type.shape, axes: [0] }, condition)
    : condition;
  return select(spread, t, e);
};

export const BINARY_KERNELS: KernelTable = {
  ...pairs({
    Add: arithmetic('add'),
    Atan2: (a, b) => binary('atan2', asFloat(a), asFloat(b)),
    BitwiseAnd: arithmetic('and'),
    Equal: comparison('EQ'),
    FloorDiv: floorDivide,
    Greater: comparison('GT'),
    GreaterEqual: comparison('GE'),
    Less: comparison('LT'),
    LessEqual: comparison('LE'),
    LogicalAnd: logical('and'),
    LogicalOr: logical('or'),
    Maximum: arithmetic('maximum'),
    Minimum: arithmetic('minimum'),
    Mod: modulo,
    Multiply: arithmetic('multiply'),
    NotEqual: comparison('NE'),
    Pow: raise,
    RealDiv: (a, b) => divide(asFloat(a), asFloat(b)),
    SquaredDifference: (a, b) => {
      const difference = binary('subtract', ...matched(a, b));
      return multiply(difference, difference);
    },
    Sub: arithmetic('subtract'),
  }),
  AddN: (call) => listOf(call).reduce(add),
  EluGrad: eluGradient,
  Prelu: prelu,
  Select: chosen,
};
