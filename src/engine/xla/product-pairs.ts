import type { Graph, Node } from './graph.js';
import { type Cut, FEWEST_ROWS, type KernelChoice } from './kernel-choice.js';
import type { CustomCall } from './operations.js';
import { concatenate, convert, sliceAxis } from './ops.js';
import { allNodes } from './precision.js';
import { isOne, isWeight, type Product, productOf, usersOf, WIDTH_STEP } from './products.js';
import { type GraphProgram, rebuild } from './rebuild.js';
import { evaluator, isFull, leavesOf } from './row-expressions.js';
import { isPointwise, printKernel } from './triton.js';
import { tritonCall } from './triton-call.js';
import { sameShape, sameType, type TensorType } from './types.js';

/**
 * Two products of one operand as one, with what is differentiated through them. For x·W₁ and x·W₂, values [N, F] whose
 * gradients G₁ and G₂ are computed element by element, a program has G₁·W₁ + G₂·W₂, xᵀ·G₁ and xᵀ·G₂: five products
 * and a sum, which read x four times. Here W₁ and W₂ are put side by side (they are small), so that one product gives
 * both values side by side; one kernel of our own writes G₁ and G₂ side by side (XLA's own form of that would read for
 * each half what it needs, and nothing once); and two products do the rest, the sum being part of the longer one.
 * Whoever takes a single half takes a slice, which costs nothing inside of element-wise work.
 *
 * Nothing else is changed: where any part of the whole is not as described, all of it is left as it is.
 */
interface Pair {
  readonly x: Node;
  readonly weights: Two;
  /** x·W₁ and x·W₂, [N, F]. */
  readonly products: Two;
  readonly gradients: Two;
  /** G₁·W₁ + G₂·W₂. */
  readonly sum: Node;
  /** The product that it becomes. */
  readonly back: Product;
  readonly weightGradients: Two;
  /** The axis of the weights, and of their gradients, that is F long. */
  readonly weightAxis: number;
  readonly gradientAxis: number;
  readonly count: number;
  readonly width: number;
  /** What the gradients are computed from. */
  readonly leaves: readonly Node[];
  /** Values that were rounded on the way, and are again. */
  readonly rounded: ReadonlyMap<Node, { readonly body: Node }>;
}

type Two = readonly [Node, Node];

const NARROWEST = 64;
/** More operands than this leave a kernel no registers. */
const MOST_OPERANDS = 8;
/** Columns of an instance: whole lines of the cache, and not so many that a few rows fill it. */
const TILES = [1024, 512, 256, 128, 64];

/** Rounded to bfloat16 from something computed. */
const isRounded = ({ operation, type, inputs: [x] }: Node): boolean =>
  operation.op === 'convert' && type.element === 'bf16' && x!.type.element === 'f32';

const areTwo = (some: readonly Node[] | undefined, a: Node, b: Node) =>
  a !== b && some?.length === 2 && some.includes(a) && some.includes(b);
const alike = (a: Node, b: Node) =>
  sameType(a.type, b.type) && JSON.stringify(a.operation) === JSON.stringify(b.operation);

function pairAt(sum: Node, users: ReadonlyMap<Node, readonly Node[]>): Pair | undefined {
  if (sum.operation.op !== 'add' || sum.type.element !== 'f32' || sum.type.shape.length !== 2)
    return undefined;
  // From the sum to both gradients and weights …
  const terms = sum.inputs.map((wide) => {
    const [term] = wide.inputs;
    const own =
      wide.operation.op === 'convert' && isOne(users.get(wide), sum) && isOne(users.get(term!), wide);
    return own && productOf(term!) ? term! : undefined;
  });
  const [d1, d2] = terms;
  if (!d1 || !d2 || d1 === d2 || !alike(d1, d2)) return undefined;
  const [g1, w1, g2, w2] = [...d1.inputs, ...d2.inputs] as [Node, Node, Node, Node];
  const back = productOf(d1)!;
  const weightAxis = back.rhsContracting[0]!;
  if (back.lhsContracting[0] !== 1 || g1 === g2 || w1 === w2) return undefined;
  if (!isRounded(g1) || !isRounded(g2) || !isWeight(w1) || !isWeight(w2)) return undefined;
  if (!sameType(g1.type, g2.type) || !sameType(w1.type, w2.type)) return undefined;
  // … from those to the products that begin it, and to the gradients of the weights.
  const other = (value: Node, known: Node): Node | undefined => {
    const taken = users.get(value)!;
    const found = taken.find((user) => user !== known);
    return found && areTwo(taken, known, found) && productOf(found) ? found : undefined;
  };
  const [a, b, e1, e2] = [other(w1, d1), other(w2, d2), other(g1, d1), other(g2, d2)];
  if (!a || !b || !e1 || !e2 || !alike(a, b) || !alike(e1, e2)) return undefined;
  const x = a.inputs[0]!;
  const forward = productOf(a)!;
  if (x !== b.inputs[0] || a.inputs[1] !== w1 || b.inputs[1] !== w2 || !sameType(a.type, g1.type))
    return undefined;
  if (forward.lhsContracting[0] !== 1 || forward.rhsContracting[0] !== 1 - weightAxis) return undefined;
  const gradientAxis = e1.inputs.indexOf(g1);
  const weightGradient = productOf(e1)!;
  if (
    e1.inputs[1 - gradientAxis] !== x ||
    e2.inputs[1 - gradientAxis] !== x ||
    e2.inputs[gradientAxis] !== g2
  )
    return undefined;
  if (weightGradient.lhsContracting[0] !== 0 || weightGradient.rhsContracting[0] !== 0) return undefined;
  const [count, width] = g1.type.shape as [number, number];
  if (![a, b].every((product) => isSliced(product, users))) return undefined;
  const read = readBy([g1, g2], { count, width });
  // What comes before both gradients cannot be computed from either.
  const before = Math.min(g1.id, g2.id);
  if (!read || x.id > before || read.leaves.some(({ id }) => id > before)) return undefined;
  return {
    ...{ x, sum, back, weightAxis, gradientAxis, count, width, ...read },
    ...{ weights: [w1, w2], products: [a, b], gradients: [g1, g2], weightGradients: [e1, e2] },
  };
}

/** Taken element by element alone: nothing needs it as memory of its own. */
function isSliced(product: Node, users: ReadonlyMap<Node, readonly Node[]>): boolean {
  return users.get(product)!.every((wide) => {
    if (wide.operation.op !== 'convert' || wide.type.element !== 'f32') return false;
    return (users.get(wide) ?? []).every(
      (user) => (isPointwise(user) || isRounded(user)) && sameShape(user.type.shape, product.type.shape),
    );
  });
}

/** What both gradients are computed from: values of their shape in bfloat16, and those rounded on the way. */
function readBy(
  gradients: Two,
  dims: { count: number; width: number },
): Pick<Pair, 'leaves' | 'rounded'> | undefined {
  const rounded = new Map<Node, { readonly body: Node }>();
  const known = new Map<Node, boolean>();
  const elementwise = (body: Node): Node[] | undefined => {
    const leaves = leavesOf(body, dims, isRead);
    return leaves && [...leaves.values()].every((space) => space === 'full') ? [...leaves.keys()] : undefined;
  };
  const isRead = (stored: Node): boolean => {
    const before = known.get(stored);
    if (before !== undefined) return before;
    const body = stored.inputs[0];
    const read = !(isRounded(stored) && isFull(body!, dims) && elementwise(body!));
    known.set(stored, read);
    if (!read) rounded.set(stored, { body: body! });
    return read;
  };
  const leaves = gradients.map((gradient) => elementwise(gradient.inputs[0]!));
  if (!leaves[0] || !leaves[1]) return undefined;
  const all = [...new Set(leaves.flatMap((some) => some!))];
  return all.length > 0 && all.length <= MOST_OPERANDS ? { leaves: all, rounded } : undefined;
}

function isRoomy({ count, width }: Pair): boolean {
  return (
    count >= FEWEST_ROWS && width >= NARROWEST && width % WIDTH_STEP === 0 && 2 * count * width < 2 ** 31
  );
}

/** The columns of an instance that leave the fewest lanes idle. */
function tileOf(width: number, lanesAtOnce: number): number {
  const lanes = (tile: number) => Math.ceil(width / tile) * tile;
  return TILES.filter((tile) => tile <= Math.max(lanesAtOnce, TILES.at(-1)!)).reduce((best, tile) =>
    lanes(tile) < lanes(best) ? tile : best,
  );
}

/** Both gradients side by side, [N, 2F], from the products side by side and what else they are computed from. */
function gradientCall(
  { gradients, products, leaves, rounded, count, width }: Pair,
  cut: Cut,
): { readonly call: CustomCall; readonly operands: readonly (Node | 'products')[] } {
  const tile = tileOf(width, cut.lanesAtOnce);
  const rows = Math.max(1, 2 ** Math.floor(Math.log2(cut.lanesAtOnce / tile)));
  const others = leaves.filter((leaf) => !products.includes(leaf));
  const operands = others.length < leaves.length ? (['products', ...others] as const) : others;
  const named = new Map<Node | 'products', string>(operands.map((operand, i) => [operand, `%in${i}`]));
  const stored = 'bf16';
  const pointers = operands.map((operand) => ({
    ...({ name: named.get(operand)!, stored } as const),
    stride: operand === 'products' ? 2 * width : width,
  }));
  const text = printKernel(
    'pairs',
    { count, width, rows, rowsOfInstance: rows, stages: 1, tile },
    [...pointers, { name: '%out', stored, stride: 2 * width }],
    () => {},
    (build) => {
      const at = evaluator(build, { count, width }, rounded, new Map(), (node) => {
        const half = products.indexOf(node);
        return half < 0
          ? { name: named.get(node)!, stored }
          : { name: named.get('products')!, stored, from: half * width };
      });
      gradients.forEach((gradient, half) => {
        build.store('%out', at.full(gradient.inputs[0]!), 'full', stored, half * width);
      });
      return [];
    },
    [],
  );
  const instances = Math.ceil(count / rows) * Math.ceil(width / tile);
  const side: TensorType = { element: stored, shape: [count, width] };
  const both: TensorType = { element: stored, shape: [count, 2 * width] };
  const types = operands.map((operand) => (operand === 'products' ? both : side));
  return { call: tritonCall('pairs', text, instances, cut.warps, types, [both]), operands };
}

/** The program with such pairs joined. Programs with loops are left as they are. */
export function joinProducts(program: GraphProgram, choose: KernelChoice): GraphProgram {
  const nodes = allNodes([...program.parameters, ...program.results]);
  if (nodes.some(({ operation }) => operation.op === 'loop')) return program;
  const users = usersOf(nodes, program.results);
  const partOf = new Map<Node, Pair>();
  const cuts = new Map<Pair, Cut>();
  for (const node of nodes) {
    const pair = pairAt(node, users);
    const cut = pair && isRoomy(pair) ? choose('pairs', [pair.count, pair.width]) : undefined;
    if (!pair || !cut) continue;
    cuts.set(pair, cut);
    for (const part of [pair.sum, ...pair.products, ...pair.gradients, ...pair.weightGradients])
      partOf.set(part, pair);
  }
  if (cuts.size === 0) return program;

  const sources = (node: Node): readonly Node[] => {
    const pair = partOf.get(node);
    if (!pair) return node.inputs;
    if (pair.products.includes(node)) return [pair.x, ...pair.weights];
    if (pair.gradients.includes(node)) return [pair.x, ...pair.weights, ...pair.leaves];
    return node === pair.sum ? [...pair.gradients, ...pair.weights] : [...pair.gradients, pair.x];
  };
  return rebuild(program, sources, (node, moved, graph) => {
    const pair = partOf.get(node);
    return pair
      ? joined(node, pair, cuts.get(pair)!, moved, graph)
      : graph.add(node.operation, ...node.inputs.map(moved));
  });
}

/** What a part of a pair is in the new program. Equal values of a graph are one, so that nothing is made twice. */
function joined(node: Node, pair: Pair, cut: Cut, moved: (source: Node) => Node, graph: Graph): Node {
  const { x, weights, products, gradients, weightGradients, weightAxis, gradientAxis, width } = pair;
  const allWeights = () => concatenate(weights.map(moved), weightAxis);
  const allProducts = () => graph.add(products[0].operation, moved(x), allWeights());
  const half = (whole: Node, axis: number, which: number) =>
    sliceAxis(whole, axis, which * width, (which + 1) * width);
  if (products.includes(node)) return half(allProducts(), 1, products.indexOf(node));
  if (gradients.includes(node)) {
    const { call, operands } = gradientCall(pair, cut);
    const given = operands.map((operand) => (operand === 'products' ? allProducts() : moved(operand)));
    return graph.add({ op: 'custom_call', ...call }, ...given);
  }
  const allGradients = moved(gradients[0]);
  if (node === pair.sum) return convert(graph.add(pair.back, allGradients, allWeights()), 'f32');
  const given = gradientAxis === 0 ? [allGradients, moved(x)] : [moved(x), allGradients];
  return half(graph.add(node.operation, ...given), gradientAxis, weightGradients.indexOf(node));
}
