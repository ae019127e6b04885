import { createGraph, type Node } from './graph.js';
import type { KernelKind } from './kernel-choice.js';
import {
  add,
  binary,
  broadcastTo,
  compare,
  convert,
  dot,
  iota,
  multiply,
  reduce,
  reshape,
  scalarLike,
  select,
  splatLike,
  subtract,
  unary,
} from './ops.js';
import type { GraphProgram } from './rebuild.js';
import { sizeOf, type TensorType } from './types.js';

/** What a kernel of a kind is tried on before its first use: ragged rows, padded lanes, tensors of odd sizes. */
export interface KernelProbe {
  /** The plain form, which the kernel's numbers are compared with. Results are float32. */
  readonly program: GraphProgram;
  readonly values: readonly (Float32Array | Int32Array)[];
  /** How far each result may be off, as a share of the larger value; 0: the same number. */
  readonly within: readonly number[];
}

const ROWS = 513;
const WIDTH = 48;
/** bfloat16 has 8 digits: one in the last. */
const ROUNDED = 2 ** -7;
/** Sums of exponentials, which are not the same function everywhere. */
const SUMMED = 2 ** -16;

const f32 = (...shape: number[]): TensorType => ({ element: 'f32', shape });
const wide = (x: Node) => convert(x, 'f32');
const narrowed = (x: Node) => wide(convert(x, 'bf16'));

/** Small whole numbers: exact in bfloat16, their sums and those of their squares too, in any order. */
const whole = (type: TensorType) => Float32Array.from({ length: sizeOf(type.shape) }, (_, i) => (i % 7) - 3);

function probe(
  types: readonly TensorType[],
  values: (type: TensorType, index: number) => Float32Array | Int32Array,
  within: readonly number[],
  record: (parameters: Node[]) => Node[],
): KernelProbe {
  const graph = createGraph();
  const parameters = types.map((type, index) =>
    graph.add({ op: 'parameter', index, name: `p${index}`, type }),
  );
  return { program: { parameters, results: record(parameters) }, values: types.map(values), within };
}

const gainOr = (type: TensorType, index: number) =>
  index === 0 ? whole(type) : Float32Array.from({ length: WIDTH }, (_, i) => 1 + i);

/** x / √(mean x² + 1) · gain in bfloat16, and Σ x² along the rows. */
function norm(given: Node, gain: Node): Node[] {
  const x = narrowed(given);
  const squares = reduce('add', multiply(x, x), [1], true);
  const scale = unary(
    'rsqrt',
    add(multiply(squares, scalarLike(squares, 1 / WIDTH)), scalarLike(squares, 1)),
  );
  return [narrowed(multiply(multiply(x, scale), broadcastTo(gain, x.type.shape))), squares];
}

/** The same, and Σ x over the rows. */
function normAndColumnSums(given: Node, gain: Node): Node[] {
  return [norm(given, gain)[0]!, reduce('add', narrowed(given), [0])];
}

/** Each row's maximum, its sum of exponentials, and (softmax − one-hot) / N in bfloat16. */
function loss(given: Node, ids: Node): Node[] {
  const scores = narrowed(given);
  const top = reduce('maximum', scores, [1], true);
  const sums = reduce('add', unary('exponential', subtract(scores, top)), [1], true);
  const logSum = add(unary('log', sums), top);
  const numbers = reshape(iota(scores.graph, { element: 'i32', shape: [WIDTH] }, 0), [1, WIDTH]);
  const hit = wide(compare('EQ', reshape(ids, [ROWS, 1]), numbers));
  const difference = subtract(unary('exponential', subtract(scores, logSum)), hit);
  return [top, sums, narrowed(multiply(difference, splatLike(difference, 1 / ROWS)))];
}

const TENSORS = [f32(ROWS, WIDTH), f32(33), f32(7, 5, 3), f32(129, 64)];

/** Σ of all squares; half of the tensors are stored in bfloat16. */
const squares = (tensors: Node[]): Node[] => [
  tensors
    .map((tensor, i) => {
      const x = i % 2 === 0 ? narrowed(tensor) : tensor;
      const axes = x.type.shape.map((_, axis) => axis);
      return reduce('add', multiply(x, x), axes);
    })
    .reduce(add),
];

/** Columns of each of two products: no tile divides them. */
const SIDE = 72;

/** −1, 0 and 1, few of the last in weights: sums are exact in bfloat16 too. */
const few = (type: TensorType, index: number) =>
  Float32Array.from({ length: sizeOf(type.shape) }, (_, i) =>
    index === 1 || index === 2 ? +(i % (4 + index) === 0) : (((i * 7) >> 1) % 3) - 1,
  );

const TO_SIDES = { lhsBatch: [], rhsBatch: [], lhsContracting: [1], rhsContracting: [1] };
const FROM_SIDES = { ...TO_SIDES, rhsContracting: [0] };
const OVER_ROWS = { ...FROM_SIDES, lhsContracting: [0] };

const gradients = (x: Node, [a, b]: [Node, Node], [da, db]: [Node, Node]): Node[] => [
  add(wide(dot(da, a, FROM_SIDES)), wide(dot(db, b, FROM_SIDES))),
  wide(dot(da, x, OVER_ROWS)),
  wide(dot(db, x, OVER_ROWS)),
];

/** Gradients by the operand and the weights of max(x·Aᵀ, 0) ⊙ x·Bᵀ, whose own is given. */
function pair(given: Node[]): Node[] {
  const [x, a, b, dy] = given.map((each) => convert(each, 'bf16')) as [Node, Node, Node, Node];
  const [first, second] = [wide(dot(x, a, TO_SIDES)), wide(dot(x, b, TO_SIDES))];
  const nothing = splatLike(first, 0);
  const [da, db] = [
    select(compare('GT', first, nothing), multiply(wide(dy), second), nothing),
    multiply(wide(dy), binary('maximum', first, nothing)),
  ].map((each) => convert(each, 'bf16')) as [Node, Node];
  return gradients(x, [a, b], [da, db]);
}

/** Gradients by the operand and the weights of x·Aᵀ and x·Bᵀ, from −f and |g|. */
function sum(given: Node[]): Node[] {
  const [x, a, b, f, g] = given.map((each) => convert(each, 'bf16')) as [Node, Node, Node, Node, Node];
  const [da, db] = [unary('negate', wide(f)), unary('abs', wide(g))].map((each) => convert(each, 'bf16')) as [
    Node,
    Node,
  ];
  return gradients(x, [a, b], [da, db]);
}

const PROBES: Readonly<Record<KernelKind, () => KernelProbe>> = {
  norms: () => probe([f32(ROWS, WIDTH), f32(WIDTH)], gainOr, [ROUNDED, 0], ([x, gain]) => norm(x!, gain!)),
  normGradients: () =>
    probe([f32(ROWS, WIDTH), f32(WIDTH)], gainOr, [ROUNDED, 0], ([x, gain]) => normAndColumnSums(x!, gain!)),
  losses: () =>
    probe(
      [f32(ROWS, WIDTH), { element: 'i32', shape: [ROWS] }],
      // Sixteenths: exact in bfloat16.
      ({ shape }, index) =>
        index === 0
          ? Float32Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 31) % 61) / 16 - 2)
          : Int32Array.from({ length: ROWS }, (_, i) => (i * 31) % WIDTH),
      [0, SUMMED, ROUNDED],
      ([scores, ids]) => loss(scores!, ids!),
    ),
  squares: () => probe(TENSORS, whole, [0], squares),
  casts: () =>
    probe(
      TENSORS,
      ({ shape }, index) => Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i + index)),
      TENSORS.map(() => 0),
      (tensors) => tensors.map(narrowed),
    ),
  pairs: () =>
    probe(
      [f32(ROWS, WIDTH), f32(SIDE, WIDTH), f32(SIDE, WIDTH), f32(ROWS, SIDE)],
      few,
      [ROUNDED, 0, 0],
      pair,
    ),
  sums: () =>
    probe(
      [f32(ROWS, WIDTH), f32(SIDE, WIDTH), f32(SIDE, WIDTH), f32(ROWS, SIDE), f32(ROWS, SIDE)],
      few,
      [ROUNDED, 0, 0],
      sum,
    ),
};

export const kernelProbe = (kind: KernelKind): KernelProbe => PROBES[kind]();

/** Whether numbers are as near to those of the plain form as they may be off; NaN is near to nothing. */
export function agree(own: ArrayLike<number>, plain: ArrayLike<number>, within: number): boolean {
  if (own.length !== plain.length) return false;
  return Array.from(own).every((x, i) => {
    const y = plain[i]!;
    return Math.abs(x - y) <= within * Math.max(Math.abs(x), Math.abs(y));
  });
}
