import type { Node } from '../graph.js';
import {
  add,
  asFloat,
  broadcastTo,
  compare,
  dot,
  multiply,
  reduce,
  select,
  splatLike,
  transpose,
} from '../ops.js';
import { attribute, type Kernel, type KernelCall, type KernelTable } from './kernel.js';
import { UNARY_KERNELS } from './unary.js';

/** op(a)·op(b) over the last two axes; leading axes are batches and broadcast. */
export function product(a: Node, b: Node, transposeA: boolean, transposeB: boolean): Node {
  const [x, y] = [asFloat(a), asFloat(b)];
  if (y.type.shape.length === 2 && x.type.shape.length > 2 && !transposeA) return dotRows(x, y, transposeB);
  const [left, right] = withOneBatch(x, y);
  const rank = left.type.shape.length;
  const batch = left.type.shape.slice(0, -2).map((_, i) => i);
  return dot(left, right, {
    lhsBatch: batch,
    rhsBatch: batch,
    lhsContracting: [transposeA ? rank - 2 : rank - 1],
    rhsContracting: [transposeB ? rank - 1 : rank - 2],
  });
}

/** One matrix for all rows of x: no batches are needed. */
function dotRows(x: Node, y: Node, transposeB: boolean): Node {
  return dot(x, y, {
    lhsBatch: [],
    rhsBatch: [],
    lhsContracting: [x.type.shape.length - 1],
    rhsContracting: [transposeB ? 1 : 0],
  });
}

/** Both operands with the same leading axes. */
function withOneBatch(x: Node, y: Node): [Node, Node] {
  const rank = Math.max(x.type.shape.length, y.type.shape.length) - 2;
  const batchOf = ({ type: { shape } }: Node): number[] => [
    ...Array<number>(rank + 2 - shape.length).fill(1),
    ...shape.slice(0, -2),
  ];
  const other = batchOf(y);
  const batch = batchOf(x).map((n, i) => (n === 1 ? other[i]! : n));
  const spread = (node: Node) => broadcastTo(node, [...batch, ...node.type.shape.slice(-2)]);
  return [spread(x), spread(y)];
}

const flags = (call: KernelCall): [boolean, boolean] => [
  attribute<boolean | undefined>(call, 'transposeA') ?? false,
  attribute<boolean | undefined>(call, 'transposeB') ?? false,
];

const batchMatMul: Kernel = (call) => product(call.inputs.a!, call.inputs.b!, ...flags(call));

const ACTIVATIONS: Readonly<Record<string, string>> = {
  relu: 'Relu',
  relu6: 'Relu6',
  elu: 'Elu',
  sigmoid: 'Sigmoid',
  leakyrelu: 'LeakyRelu',
};

/** Product, bias and activation in one kernel. */
const fusedMatMul: Kernel = (call) => {
  const { inputs, graph } = call;
  const plain = product(inputs.a!, inputs.b!, ...flags(call));
  const x = inputs.bias ? add(plain, asFloat(inputs.bias)) : plain;
  const activation = attribute<string | undefined>(call, 'activation') ?? 'linear';
  if (activation === 'linear') return x;
  if (activation === 'prelu') {
    const below = multiply(x, asFloat(inputs.preluActivationWeights!));
    return select(compare('GT', x, splatLike(x, 0)), x, below);
  }
  const kernel = UNARY_KERNELS[ACTIVATIONS[activation] ?? ''];
  if (!kernel) throw new Error(`activation ${activation}`);
  return kernel({ graph, inputs: { x }, attributes: { alpha: call.attributes.leakyreluAlpha } });
};

/** Einstein sums of one or two operands, without repeated letters in an operand. */
const einsum: Kernel = (call) => {
  const operands = Object.values(call.inputs).map(asFloat);
  const [from, to] = attribute<string>(call, 'equation').replace(/\s/g, '').split('->') as [string, string];
  const letters = from.split(',');
  if (letters.some((own) => new Set(own).size !== own.length))
    throw new Error(`einsum ${from}: repeated letter`);
  // Every operand summed over what is its own alone, then one general product.
  const summed = operands.map((x, i) => sumLonely(x, letters, i, to));
  const [x, y] = summed as [Lettered, Lettered | undefined];
  if (operands.length > 2) throw new Error(`einsum of ${operands.length} operands`);
  const product = y ? lettered(x, y, to) : x;
  const order = [...to].map((c) => product.letters.indexOf(c));
  return transpose(product.node, order);
};

interface Lettered {
  readonly node: Node;
  readonly letters: string;
}

function sumLonely(x: Node, letters: readonly string[], i: number, to: string): Lettered {
  const own = letters[i]!;
  const elsewhere = letters.filter((_, j) => j !== i).join('') + to;
  const axes = [...own].flatMap((c, axis) => (elsewhere.includes(c) ? [] : [axis]));
  const kept = [...own].filter((c) => elsewhere.includes(c)).join('');
  if (axes.length === 0) return { node: x, letters: kept };
  return { node: reduce('add', x, axes), letters: kept };
}

function lettered(x: Lettered, y: Lettered, to: string): Lettered {
  const shared = [...x.letters].filter((c) => y.letters.includes(c));
  const batch = shared.filter((c) => to.includes(c));
  const contracted = shared.filter((c) => !to.includes(c));
  const axes = (own: string, of: readonly string[]) => of.map((c) => own.indexOf(c));
  const node = dot(x.node, y.node, {
    lhsBatch: axes(x.letters, batch),
    rhsBatch: axes(y.letters, batch),
    lhsContracting: axes(x.letters, contracted),
    rhsContracting: axes(y.letters, contracted),
  });
  const free = (own: string) => [...own].filter((c) => !shared.includes(c));
  return { node, letters: [...batch, ...free(x.letters), ...free(y.letters)].join('') };
}

export const MATMUL_KERNELS: KernelTable = {
  BatchMatMul: batchMatMul,
  Einsum: einsum,
  _FusedMatMul: fusedMatMul,
};
