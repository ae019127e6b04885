import type { DotAxes, Node, Operation } from './operations.js';
import { wholeOf } from './placement.js';
import { describeType, isFloat, sameShape, sameType, sizeOf, type TensorType } from './types.js';

/** The message says what is wrong; who recorded the operation adds which tfjs op it was. */
function require(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Error(message());
}

const one = (type: TensorType): readonly TensorType[] => [type];

/**
 * The result types of an operation on these operands.
 * @throws Error when shapes, types or axes do not fit: nothing malformed is ever recorded.
 */
export function inferTypes(operation: Operation, inputs: readonly Node[]): readonly TensorType[] {
  const types = inputs.map(({ type }) => type);
  const [x, y, z] = types as [TensorType, TensorType, TensorType];
  switch (operation.op) {
    case 'parameter':
    case 'loop_argument':
    case 'iota':
      return one(operation.type);
    case 'constant':
      return one(operation.literal.type);
    case 'is_finite':
      return one({ element: 'i1', shape: x.shape });
    case 'not':
      require(!isFloat(x.element), () => `not of ${describeType(x)}`);
      return one(x);
    case 'abs':
    case 'negate':
    case 'sign':
      require(x.element !== 'i1', () => `${operation.op} of ${describeType(x)}`);
      return one(x);
    case 'optimization_barrier':
      return one(x);
    case 'ceil':
    case 'cosine':
    case 'exponential':
    case 'exponential_minus_one':
    case 'floor':
    case 'log':
    case 'log_plus_one':
    case 'logistic':
    case 'round_nearest_even':
    case 'rsqrt':
    case 'sine':
    case 'sqrt':
    case 'tanh':
      require(isFloat(x.element), () => `${operation.op} of ${describeType(x)}`);
      return one(x);
    case 'add':
    case 'and':
    case 'atan2':
    case 'divide':
    case 'maximum':
    case 'minimum':
    case 'multiply':
    case 'or':
    case 'power':
    case 'remainder':
    case 'shift_left':
    case 'shift_right_logical':
    case 'subtract':
    case 'xor':
      requireSame(operation.op, x, y);
      return one(x);
    case 'compare':
      requireSame('compare', x, y);
      return one({ element: 'i1', shape: x.shape });
    case 'select':
      require(x.element === 'i1' && sameShape(x.shape, y.shape), () => `select by ${describeType(x)}`);
      requireSame('select', y, z);
      return one(y);
    case 'convert':
      return one({ element: operation.element, shape: x.shape });
    case 'bitcast_convert':
      return one(bitcastType(x, operation.element));
    case 'reshape':
      require(sizeOf(x.shape) === sizeOf(operation.shape), () =>
        `${describeType(x)} does not have the elements of shape [${operation.shape}]`);
      return one({ element: x.element, shape: operation.shape });
    case 'broadcast_in_dim':
      require(operation.axes.length === x.shape.length &&
        x.shape.every((n, i) => n === 1 || n === operation.shape[operation.axes[i]!]), () =>
        `${describeType(x)} does not broadcast to shape [${operation.shape}]`);
      return one({ element: x.element, shape: operation.shape });
    case 'transpose':
      requirePermutation(operation.order, x);
      return one({ element: x.element, shape: operation.order.map((i) => x.shape[i]!) });
    case 'reverse':
      requireAxes(operation.axes, x);
      return one(x);
    case 'slice':
      return one(sliceType(x, operation));
    case 'pad':
      return one({
        element: x.element,
        shape: x.shape.map((n, i) => operation.low[i]! + n + operation.high[i]!),
      });
    case 'concatenate':
      return one(concatenateType(types, operation.axis));
    case 'reduce':
      requireAxes(operation.axes, x);
      return one({ element: x.element, shape: x.shape.filter((_, i) => !operation.axes.includes(i)) });
    case 'cumulate':
      requireAxes([operation.axis], x);
      return one(x);
    case 'dot_general':
      return one(dotType(x, y, operation));
    case 'gather':
      return one(gatherType(x, y, operation));
    case 'scatter':
      require(x.element === z.element && y.element === 'i32', () =>
        `scatter of ${describeType(z)} at ${describeType(y)} into ${describeType(x)}`);
      return one(x);
    case 'dynamic_slice':
      require(types.length === 1 + x.shape.length && operation.sizes.every((n, i) => n <= x.shape[i]!), () =>
        `dynamic slice of size [${operation.sizes}] out of ${describeType(x)}`);
      return one({ element: x.element, shape: operation.sizes });
    case 'sort_descending':
      requireAxes([operation.axis], x);
      require(types.every(({ shape }) => sameShape(shape, x.shape)), () => 'sort of unlike shapes');
      return types;
    case 'rng_bit_generator':
      require(describeType(x) === 'u64[2]', () => `random bits from a state of ${describeType(x)}`);
      return [x, { element: 'u32', shape: [operation.count] }];
    case 'loop':
      // The first argument of the body is the index, which is no operand.
      return operation.results.map((result, i) => {
        require(sameType(result.type, types[i]!), () =>
          `carried value ${i} enters as ${describeType(types[i]!)} and leaves as ${describeType(result.type)}`);
        return result.type;
      });
    case 'custom_call':
      require(operation.operandLayouts.length === types.length &&
        operation.operandLayouts.every((layout, i) => layout.length === types[i]!.shape.length), () =>
        `custom call ${operation.target} on ${types.map(describeType).join(' and ')}`);
      return operation.types;
    case 'all_reduce':
      require(types.every(({ element }) => element === x.element), () =>
        `all_reduce of ${types.map(describeType).join(' and ')}`);
      return types;
    case 'all_gather':
      return types.map((type) => wholeOf(type, operation.axis, operation.devices));
    case 'replica_id':
      return one({ element: 'u32', shape: [] });
    case 'result':
      return one(inputs[0]!.types[operation.index]!);
  }
}

function requireSame(op: string, a: TensorType, b: TensorType): void {
  require(sameType(a, b), () => `${op} of ${describeType(a)} and ${describeType(b)}`);
}

function requireAxes(axes: readonly number[], { shape }: TensorType): void {
  require(new Set(axes).size === axes.length &&
    axes.every((i) => Number.isInteger(i) && i >= 0 && i < shape.length), () =>
    `axes [${axes}] of shape [${shape}]`);
}

function requirePermutation(order: readonly number[], type: TensorType): void {
  requireAxes(order, type);
  require(order.length === type.shape.length, () => `order [${order}] of shape [${type.shape}]`);
}

function bitcastType(x: TensorType, element: TensorType['element']): TensorType {
  const bits = { f32: 32, i32: 32, u32: 32, u64: 64, bf16: 16, u8: 8, i1: 1 };
  const [from, to] = [bits[x.element], bits[element]];
  if (from === to) return { element, shape: x.shape };
  const lanes = x.shape.at(-1);
  require(to === 2 * from && lanes === 2, () => `bits of ${describeType(x)} as ${element}`);
  return { element, shape: x.shape.slice(0, -1) };
}

function sliceType(x: TensorType, operation: Extract<Operation, { op: 'slice' }>): TensorType {
  const { start, limit, strides } = operation;
  require(start.length === x.shape.length &&
    start.every((from, i) => from >= 0 && from <= limit[i]! && limit[i]! <= x.shape[i]!), () =>
    `slice [${start}] to [${limit}] of ${describeType(x)}`);
  return {
    element: x.element,
    shape: start.map((from, i) => Math.ceil((limit[i]! - from) / strides[i]!)),
  };
}

function concatenateType(types: readonly TensorType[], axis: number): TensorType {
  const first = types[0]!;
  requireAxes([axis], first);
  for (const type of types) {
    require(type.element === first.element &&
      type.shape.length === first.shape.length &&
      type.shape.every((n, i) => i === axis || n === first.shape[i]), () =>
      `concatenation along axis ${axis} of ${types.map(describeType).join(' and ')}`);
  }
  const length = types.reduce((sum, { shape }) => sum + shape[axis]!, 0);
  return { element: first.element, shape: first.shape.map((n, i) => (i === axis ? length : n)) };
}

function dotType(
  x: TensorType,
  y: TensorType,
  dot: DotAxes & { result?: TensorType['element'] },
): TensorType {
  const { lhsBatch, rhsBatch, lhsContracting, rhsContracting } = dot;
  requireAxes([...lhsBatch, ...lhsContracting], x);
  requireAxes([...rhsBatch, ...rhsContracting], y);
  const agree = (a: readonly number[], b: readonly number[]) =>
    a.length === b.length && a.every((axis, i) => x.shape[axis] === y.shape[b[i]!]);
  require(x.element === y.element && agree(lhsBatch, rhsBatch) && agree(lhsContracting, rhsContracting), () =>
    `product of ${describeType(x)} and ${describeType(y)}`);
  const free = (type: TensorType, used: readonly number[]) => type.shape.filter((_, i) => !used.includes(i));
  return {
    element: dot.result ?? x.element,
    shape: [
      ...lhsBatch.map((i) => x.shape[i]!),
      ...free(x, [...lhsBatch, ...lhsContracting]),
      ...free(y, [...rhsBatch, ...rhsContracting]),
    ],
  };
}

function gatherType(x: TensorType, y: TensorType, gather: Extract<Operation, { op: 'gather' }>): TensorType {
  require(y.element === 'i32' && gather.sliceSizes.every((n, i) => n <= x.shape[i]!), () =>
    `gather from ${describeType(x)} at ${describeType(y)}`);
  const picked = y.shape.filter((_, i) => i !== gather.indexVector);
  const window = gather.sliceSizes.filter((_, i) => !gather.collapsed.includes(i));
  const rank = picked.length + window.length;
  const shape: number[] = [];
  for (let i = 0; i < rank; i++) {
    shape.push((gather.offset.includes(i) ? window.shift() : picked.shift())!);
  }
  return { element: x.element, shape };
}
