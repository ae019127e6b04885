import type { Graph, Node } from './graph.js';
import { FEWEST_ROWS, type KernelChoice } from './kernel-choice.js';
import type { OperationName } from './operations.js';
import { concatenate, convert, sliceAxis } from './ops.js';
import { allNodes } from './precision.js';
import { isOne, isWeight, type Product, productOf, usersOf, WIDTH_STEP } from './products.js';
import { type GraphProgram, rebuild } from './rebuild.js';
import { sizeOf } from './types.js';

/**
 * A sum of products G₁·W₁ + G₂·W₂ + … as one product of what is side by side, and xᵀ·G₁, xᵀ·G₂ … too: what is
 * differentiated through several products of one operand x. The sum is then part of a longer product, which writes its
 * result once. Values side by side are written so by XLA, in the place of each by itself, as long as they are computed
 * each from something else; one that is in memory already has to be copied, so that the others must be more than those.
 *
 * Where any part is not as described, all of it is left as it is.
 */
interface Sum {
  readonly root: Node;
  readonly parts: readonly Part[];
  readonly x: Node;
  readonly back: Product;
  readonly count: number;
  /** The axis of the weights' gradients along which the parts lie. */
  readonly gradientAxis: number;
}

interface Part {
  readonly gradient: Node;
  readonly weight: Node;
  /** G·W. */
  readonly back: Node;
  /** xᵀ·G, or Gᵀ·x. */
  readonly weightGradient: Node;
}

type Users = ReadonlyMap<Node, readonly Node[]>;

const widthOf = ({ gradient }: Part) => gradient.type.shape[1]!;

/** What adds up to a value, with who adds it; sums on the way are used for nothing else. */
function termsOf(node: Node, users: Users, user?: Node): { term: Node; user: Node }[] {
  const isSum = node.operation.op === 'add' && node.type.element === 'f32';
  if (isSum && (!user || isOne(users.get(node), user)))
    return node.inputs.flatMap((input) => termsOf(input, users, node));
  return user ? [{ term: node, user }] : [];
}

function partOf(term: Node, user: Node, users: Users): Part | undefined {
  const [back] = term.inputs;
  if (term.operation.op !== 'convert' || !isOne(users.get(term), user) || !isOne(users.get(back!), term))
    return undefined;
  if (productOf(back!)?.lhsContracting[0] !== 1) return undefined;
  const [gradient, weight] = back!.inputs as [Node, Node];
  const [one, other, ...more] = users.get(gradient)!;
  const weightGradient = one === back ? other : one;
  if (!isWeight(weight) || !weightGradient || more.length > 0) return undefined;
  const product = productOf(weightGradient);
  if (product?.lhsContracting[0] !== 0 || product.rhsContracting[0] !== 0) return undefined;
  return { gradient, weight, back: back!, weightGradient };
}

function sumAt(root: Node, users: Users): Sum | undefined {
  if (root.type.shape.length !== 2) return undefined;
  const terms = termsOf(root, users);
  const parts = terms.flatMap(({ term, user }) => partOf(term, user, users) ?? []);
  if (parts.length < 2 || parts.length < terms.length) return undefined;
  const [first] = parts as [Part, ...Part[]];
  const gradientAxis = first.weightGradient.inputs.indexOf(first.gradient);
  const x = first.weightGradient.inputs[1 - gradientAxis]!;
  const count = first.gradient.type.shape[0]!;
  const back = productOf(first.back)!;
  const isLike = (part: Part) =>
    productOf(part.back)!.rhsContracting[0] === back.rhsContracting[0] &&
    part.weightGradient.inputs[gradientAxis] === part.gradient &&
    part.weightGradient.inputs[1 - gradientAxis] === x &&
    part.gradient !== x &&
    widthOf(part) % WIDTH_STEP === 0;
  const isEach = (key: keyof Part) => new Set(parts.map((part) => part[key])).size === parts.length;
  if (!parts.every(isLike) || !isEach('gradient') || !isEach('weight')) return undefined;
  const total = parts.reduce((sum, part) => sum + widthOf(part), 0);
  if (count < FEWEST_ROWS || count * total >= 2 ** 31 || !arePutTogether(parts)) return undefined;
  return { root, parts, x, back, count, gradientAxis };
}

/** Operations that only say where an element lies. */
const MOVING: ReadonlySet<OperationName> = new Set<OperationName>(['reshape', 'transpose']);
/** Operations whose results are memory. */
const STORING: ReadonlySet<OperationName> = new Set<OperationName>([
  ...(['custom_call', 'dot_general', 'gather', 'loop', 'parameter', 'reduce', 'result', 'scatter'] as const),
]);

/** Whether most parts are computed, each from something else, so that writing them side by side costs nothing. */
function arePutTogether(parts: readonly Part[]): boolean {
  const computed = parts.filter(({ gradient }) => {
    let node = gradient;
    while (MOVING.has(node.operation.op)) node = node.inputs[0]!;
    return !STORING.has(node.operation.op);
  });
  const taken = new Set<Node>();
  return (
    2 * computed.length > parts.length &&
    parts.every(({ gradient }) => {
      const own = storedUnder(gradient);
      const isNew = own.every((node) => !taken.has(node));
      for (const node of own) taken.add(node);
      return isNew;
    })
  );
}

/** What of its own size a value is computed from. */
function storedUnder(value: Node): Node[] {
  const seen = new Set<Node>();
  const found: Node[] = [];
  const pending = [value];
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    if (!STORING.has(node.operation.op)) pending.push(...node.inputs);
    else if (sizeOf(node.type.shape) >= sizeOf(value.type.shape)) found.push(node);
  }
  return found;
}

/** Everything that is computed from some values. */
function dependents(nodes: readonly Node[], from: readonly Node[]): Set<Node> {
  const found = new Set(from);
  for (const node of nodes) if (node.inputs.some((input) => found.has(input))) found.add(node);
  return found;
}

/** The program with such sums as one product. Programs with loops are left as they are. */
export function joinSums(program: GraphProgram, choose: KernelChoice): GraphProgram {
  const nodes = allNodes([...program.parameters, ...program.results]);
  if (nodes.some(({ operation }) => operation.op === 'loop')) return program;
  const users = usersOf(nodes, program.results);
  const inner = new Set<Node>();
  // From the last: a sum before the parts of it.
  const sums = nodes.toReversed().flatMap((node) => {
    if (node.operation.op !== 'add' || node.type.element !== 'f32' || inner.has(node)) return [];
    const sum = sumAt(node, users);
    if (!sum) return [];
    for (const { user } of termsOf(node, users)) inner.add(user);
    const total = sum.parts.reduce((width, part) => width + widthOf(part), 0);
    return choose('sums', [sum.count, total]) ? [sum] : [];
  });
  // No weights' gradient may be needed for what comes before it now.
  const after = dependents(
    nodes,
    sums.flatMap(({ parts }) => parts.map(({ weightGradient }) => weightGradient)),
  );
  const taken = sums.filter(
    ({ parts, x }) => !after.has(x) && parts.every(({ gradient }) => !after.has(gradient)),
  );
  if (taken.length === 0) return program;
  const sumOf = new Map<Node, Sum>();
  for (const sum of taken) {
    for (const node of [sum.root, ...sum.parts.map(({ weightGradient }) => weightGradient)])
      sumOf.set(node, sum);
  }
  const sources = (node: Node): readonly Node[] => {
    const sum = sumOf.get(node);
    if (!sum) return node.inputs;
    const gradients = sum.parts.map(({ gradient }) => gradient);
    return node === sum.root
      ? [...gradients, ...sum.parts.map(({ weight }) => weight)]
      : [...gradients, sum.x];
  };
  return rebuild(program, sources, (node, moved, graph) => {
    const sum = sumOf.get(node);
    return sum ? joined(node, sum, moved, graph) : graph.add(node.operation, ...node.inputs.map(moved));
  });
}

function joined(
  node: Node,
  { root, parts, x, back, gradientAxis }: Sum,
  moved: (source: Node) => Node,
  graph: Graph,
): Node {
  const gradients = concatenate(
    parts.map(({ gradient }) => moved(gradient)),
    1,
  );
  if (node === root) {
    const weights = parts.map(({ weight }) => moved(weight));
    return convert(graph.add(back, gradients, concatenate(weights, back.rhsContracting[0]!)), 'f32');
  }
  const given = gradientAxis === 0 ? [gradients, moved(x)] : [moved(x), gradients];
  const all = graph.add(node.operation, ...given);
  const own = parts.findIndex(({ weightGradient }) => weightGradient === node);
  const from = parts.slice(0, own).reduce((sum, part) => sum + widthOf(part), 0);
  return sliceAxis(all, gradientAxis, from, from + widthOf(parts[own]!));
}
