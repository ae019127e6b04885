import type { Node } from './graph.js';
import type { Cut, KernelChoice, KernelKind } from './kernel-choice.js';
import type { Operation } from './operations.js';
import { add, reduce, result } from './ops.js';
import { allNodes } from './precision.js';
import { type GraphProgram, rebuild } from './rebuild.js';
import { castCall, type Stored, squareCall } from './tensor-kernel-text.js';
import { sameShape, sizeOf } from './types.js';

/**
 * One kernel for the like work on many tensors. XLA launches a kernel for each weight that a product takes in
 * bfloat16, and two for each gradient whose squares are summed: hundreds of short ones in a step, each with a gap
 * before it. Here, one kernel of our own goes over all of them; each of its instances finds its tensor by its number.
 *
 * - `casts`: float32 arguments of the program, rounded to bfloat16.
 * - `squares`: sums of all squares of a tensor that are added to each other.
 */

/** Kernels take at most 4 KiB of arguments. */
const MOST_POINTERS = 500;

interface Tensors {
  readonly stored: Stored;
  readonly sources: readonly Node[];
}

/** Places are numbered in 32 bits. */
const isNumbered = ({ type: { shape } }: Node) => sizeOf(shape) > 0 && sizeOf(shape) < 2 ** 31 - 2 ** 20;

const isCast = ({ operation, inputs: [x] }: Node): boolean =>
  operation.op === 'convert' &&
  operation.element === 'bf16' &&
  x!.operation.op === 'parameter' &&
  x!.type.element === 'f32' &&
  isNumbered(x!);

/** What begins after it is at a multiple of 16 bytes. */
const isAligned = ({ type: { shape } }: Node) => sizeOf(shape) % 8 === 0;

/** Copies that are taken one after the other in memory. */
const isSequence = ({ operation, inputs }: Node) =>
  operation.op === 'concatenate' && operation.axis === 0 && inputs.every((x) => isCast(x) && isAligned(x));

/** What a program takes of its arguments in bfloat16: copies of them, or sequences of such. */
function castsOf(nodes: readonly Node[]): Node[] {
  const sequences = new Set(nodes.filter(isSequence));
  const inSequences = new Set([...sequences].flatMap(({ inputs }) => inputs));
  const alone = new Set(nodes.filter((node) => !sequences.has(node)).flatMap(({ inputs }) => inputs));
  return nodes.filter(
    (node) => sequences.has(node) || (isCast(node) && (alone.has(node) || !inSequences.has(node))),
  );
}

/** The arguments that a copy, or a sequence of them, is made of. */
const castFrom = (cast: Node): Node[] =>
  isSequence(cast) ? cast.inputs.map(({ inputs: [x] }) => x!) : [cast.inputs[0]!];

/** As few kernels as their arguments allow. */
function castKernels(casts: readonly Node[]): Node[][] {
  const parts: Node[][] = [];
  let room = 0;
  for (const cast of casts) {
    const pointers = castFrom(cast).length + 1;
    if (pointers > room) {
      parts.push([]);
      room = MOST_POINTERS;
    }
    parts.at(-1)!.push(cast);
    room -= pointers;
  }
  return parts.filter((part) => part.length > 1);
}

/** A tensor that is squared, and what of a sum it is. */
interface Squared {
  readonly tensor: Node;
  readonly terms: readonly Node[];
}

/** Terms by their tensors; a tensor in place of all of its parts, which then need no memory of their own. */
function tensorsOf(terms: readonly Node[]): Squared[] {
  const slices = new Map<Node, Node[]>();
  for (const term of terms) {
    const { operation, inputs } = squared(term)!;
    if (operation.op === 'slice') slices.set(inputs[0]!, [...(slices.get(inputs[0]!) ?? []), term]);
  }
  const joined = [...slices].filter(
    ([whole, own]) =>
      isNumbered(whole) &&
      isCutInto(
        whole,
        own.map((term) => squared(term)!),
      ),
  );
  const parts = new Set(joined.flatMap(([, own]) => own));
  return [
    ...terms.filter((term) => !parts.has(term)).map((term) => ({ tensor: squared(term)!, terms: [term] })),
    ...joined.map(([tensor, own]) => ({ tensor, terms: own })),
  ];
}

/** Whether slices are all of a tensor, each element once: one after the other along an axis. */
function isCutInto({ type: { shape } }: Node, slices: readonly Node[]): boolean {
  const cuts = slices.map(({ operation }) => operation as Extract<Operation, { op: 'slice' }>);
  return shape.some((length, axis) => {
    const others = (at: readonly number[]) => at.filter((_, i) => i !== axis);
    const along = cuts.toSorted((a, b) => a.start[axis]! - b.start[axis]!);
    const whole = along.every(
      ({ start, limit, strides }, i) =>
        strides.every((stride) => stride === 1) &&
        others(start).every((from) => from === 0) &&
        sameShape(others(limit), others(shape)) &&
        start[axis] === (i === 0 ? 0 : along[i - 1]!.limit[axis]),
    );
    return whole && along.at(-1)!.limit[axis] === length;
  });
}

/** What is squared and summed up, as it is stored; undefined for anything else. */
function squared({ operation, inputs: [product] }: Node): Node | undefined {
  if (operation.op !== 'reduce' || operation.combiner !== 'add') return undefined;
  if (operation.axes.length !== product!.type.shape.length || product!.operation.op !== 'multiply')
    return undefined;
  const [x, same] = product!.inputs;
  if (x !== same || !isNumbered(x!) || x!.type.element !== 'f32') return undefined;
  const stored = x!.operation.op === 'convert' ? x!.inputs[0]! : x!;
  return stored.type.element === 'bf16' ? stored : x;
}

interface Sum {
  /** The addition that all others lead to. */
  readonly root: Node;
  readonly terms: readonly Node[];
}

/** Scalars that are added to each other, and to nothing else on the way. */
function sumsOf(nodes: readonly Node[], results: readonly Node[]): Sum[] {
  const isSum = ({ operation, type }: Node) =>
    operation.op === 'add' && type.element === 'f32' && type.shape.length === 0;
  const users = new Map<Node, Node[]>();
  for (const node of nodes)
    for (const input of node.inputs) users.set(input, [...(users.get(input) ?? []), node]);
  const isInner = (node: Node) => {
    const [user, ...others] = users.get(node) ?? [];
    return isSum(node) && user !== undefined && isSum(user) && others.length === 0 && !results.includes(node);
  };
  const termsOf = (node: Node): Node[] =>
    node.inputs.flatMap((input) => (isInner(input) ? termsOf(input) : [input]));
  return nodes
    .filter((node) => isSum(node) && !isInner(node))
    .map((root) => ({ root, terms: termsOf(root) }));
}

/** As few kernels as their arguments allow; a single tensor is left to XLA. */
function cutUp<T>(items: readonly T[], most: number): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < items.length; i += most) parts.push(items.slice(i, i + most));
  return parts.filter((part) => part.length > 1);
}

/** The program with such kernels in it. Programs with loops are left as they are. */
export function fuseTensors(program: GraphProgram, choose: KernelChoice): GraphProgram {
  const roots = [...program.parameters, ...program.results];
  const nodes = allNodes(roots);
  if (nodes.some(({ operation }) => operation.op === 'loop')) return program;
  const cutFor = (kind: KernelKind, tensors: readonly Node[]): Cut | undefined =>
    choose(kind, [tensors.reduce((total, { type }) => total + sizeOf(type.shape), 0)]);

  const copies = new Map<Node, { part: readonly Node[]; cut: Cut; index: number }>();
  for (const part of castKernels(castsOf(nodes))) {
    const cut = cutFor('casts', part);
    if (cut) part.forEach((copy, index) => void copies.set(copy, { part, cut, index }));
  }

  const sums = new Map<Node, { groups: Tensors[]; others: Node[]; cut: Cut }>();
  for (const { root, terms } of sumsOf(nodes, program.results)) {
    const kernels = (['bf16', 'f32'] as const).flatMap((stored) => {
      const own = terms.filter((term) => squared(term)?.type.element === stored);
      return cutUp(tensorsOf(own), MOST_POINTERS - 1).map((tensors) => ({ stored, tensors }));
    });
    const all = kernels.flatMap(({ tensors }) => tensors);
    const taken = new Set(all.flatMap((each) => each.terms));
    const cut =
      all.length > 0
        ? cutFor(
            'squares',
            all.map(({ tensor }) => tensor),
          )
        : undefined;
    const others = terms.filter((term) => !taken.has(term));
    const groups = kernels.map(
      ({ stored, tensors }): Tensors => ({ stored, sources: tensors.map(({ tensor }) => tensor) }),
    );
    if (cut) sums.set(root, { groups, others, cut });
  }
  if (copies.size === 0 && sums.size === 0) return program;

  const sources = (node: Node): readonly Node[] => {
    const copy = copies.get(node);
    if (copy) return copy.part.flatMap(castFrom);
    const sum = sums.get(node);
    return sum ? [...sum.groups.flatMap((group) => group.sources), ...sum.others] : node.inputs;
  };
  return rebuild(program, sources, (node, moved, graph) => {
    const copy = copies.get(node);
    if (copy) {
      const given = copy.part.map((cast) => castFrom(cast).map(moved));
      const types = copy.part.map(({ type }) => type);
      return result(graph.add(castCall(given, types, copy.cut), ...given.flat()), copy.index);
    }
    const sum = sums.get(node);
    if (!sum) return graph.add(node.operation, ...node.inputs.map(moved));
    const parts = sum.groups.map(({ stored, sources: own }) => {
      const given = own.map(moved);
      return reduce('add', graph.add(squareCall(given, stored, sum.cut), ...given), [0]);
    });
    return [...parts, ...sum.others.map(moved)].reduce(add);
  });
}
