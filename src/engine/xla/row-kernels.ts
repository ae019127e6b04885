import type { Node } from './graph.js';
import { type Cut, FEWEST_ROWS, type KernelChoice, type KernelKind } from './kernel-choice.js';
import type { CustomCall } from './operations.js';
import { reduce, result } from './ops.js';
import { allNodes } from './precision.js';
import { type GraphProgram, rebuild } from './rebuild.js';
import { evaluator, leavesOf } from './row-expressions.js';
import { isPointwise, printKernel, type Space, type Stored } from './triton.js';
import { tritonCall } from './triton-call.js';
import type { TensorType } from './types.js';

/**
 * Norms and losses in one pass. XLA makes two kernels of a norm (and two of its gradient, three of a cross-entropy
 * with its own): one sums along each row, the other reads everything again. Here, sums and maxima along rows and what
 * is computed from them, element by element, become one kernel of our own that reads each operand once. Nothing below
 * knows what a norm is: it looks for values of one shape [N, D] that are
 *
 * - *stored*: rounded to bfloat16, reduced along each row, or summed over all rows (a gain's gradient), and
 * - computed from stored values by element-wise operations and repetition alone,
 *
 * and puts those together that depend on each other with no product or movement in between.
 */

type Kind = 'block' | 'rowSum' | 'rowMaximum' | 'columnSum';

const isOfRow = (kind: Kind): boolean => kind === 'rowSum' || kind === 'rowMaximum';

/** A stored value that a kernel computes. */
interface Point {
  readonly node: Node;
  readonly kind: Kind;
  readonly count: number;
  readonly width: number;
  /** What it is computed from, float32. */
  readonly body: Node;
  readonly leaves: ReadonlyMap<Node, Space>;
}

type Group = readonly Point[];

/** A kernel has at most so many lanes a row: wider rows do not stay in registers. */
const WIDEST = 4096;

function kindOf({ operation, type, inputs: [x] }: Node): Kind | undefined {
  if (x?.type.element !== 'f32' || x.type.shape.length !== 2) return undefined;
  if (operation.op === 'convert') return type.element === 'bf16' ? 'block' : undefined;
  if (operation.op !== 'reduce' || operation.axes.length !== 1) return undefined;
  const alongRows = operation.axes[0] === 1;
  if (operation.combiner === 'maximum') return alongRows ? 'rowMaximum' : undefined;
  if (operation.combiner !== 'add') return undefined;
  return alongRows ? 'rowSum' : 'columnSum';
}

function pointOf(node: Node): Point | undefined {
  const kind = kindOf(node);
  if (!kind) return undefined;
  const body = node.inputs[0]!;
  const [count, width] = body.type.shape as [number, number];
  if (width > WIDEST || width < 16 || count < FEWEST_ROWS || count * width >= 2 ** 31) return undefined;
  const leaves = leavesOf(body, { count, width });
  return leaves && { node, kind, count, width, body, leaves };
}

/** Operations that a value can pass within one kernel; every other one is a step between two kernels. */
function isBetween(node: Node): boolean {
  const { op } = node.operation;
  const kind = kindOf(node);
  if (op === 'reduce') return !(kind && isOfRow(kind));
  const inside = ['convert', 'broadcast_in_dim', 'reshape', 'constant', 'parameter', 'result', 'iota'];
  return !inside.includes(op) && !isPointwise(node);
}

/** How many steps between kernels lie before each value, at most: what is fused has equally many. */
function depths(nodes: readonly Node[]): Map<Node, number> {
  const depth = new Map<Node, number>();
  for (const node of nodes) {
    const before = node.inputs.reduce((most, input) => Math.max(most, depth.get(input) ?? 0), 0);
    depth.set(node, before + (isBetween(node) ? 1 : 0));
  }
  return depth;
}

/** Points that become one kernel. */
function groupsOf(nodes: readonly Node[]): Point[][] {
  const depth = depths(nodes);
  const points = nodes.flatMap((node) => pointOf(node) ?? []);
  const groups = new Map<Node, Point[]>(points.map((point) => [point.node, [point]]));
  const join = (a: Node, b: Node) => {
    const [into, from] = [groups.get(a)!, groups.get(b)!];
    if (into === from) return;
    into.push(...from);
    for (const { node } of from) groups.set(node, into);
  };
  const keyOf = ({ count, width, body }: Point) => `${count} ${width} ${depth.get(body)}`;
  const byNode = new Map(points.map((point) => [point.node, point]));
  const readers = new Map<string, Node>();
  for (const point of points) {
    for (const [leaf, space] of point.leaves) {
      const other = byNode.get(leaf);
      if (other && keyOf(other) === keyOf(point)) join(other.node, point.node);
      if (space !== 'full') continue;
      const reader = `${keyOf(point)} ${leaf.id}`;
      const known = readers.get(reader);
      if (known) join(known, point.node);
      else readers.set(reader, point.node);
    }
  }
  const whole = [...new Set(groups.values())].map((group) => group.sort((a, b) => a.node.id - b.node.id));
  // Worth it where what was reduced along rows is used for a block, or for another sum, at once: a pass is saved.
  return whole.filter((group) =>
    group.some(({ node, kind }) => isOfRow(kind) && group.some((other) => other.leaves.has(node))),
  );
}

/** What a group is in a network: a cross-entropy alone needs the largest value of a row. */
function kernelKind(group: Group): KernelKind {
  if (group.some(({ kind }) => kind === 'rowMaximum')) return 'losses';
  return group.some(({ kind }) => kind === 'columnSum') ? 'normGradients' : 'norms';
}

interface Kernel {
  readonly call: CustomCall;
  /** Operands in their order. */
  readonly leaves: readonly Node[];
  /** Which result a point is. */
  readonly index: ReadonlyMap<Node, number>;
}

/** @param used whether a point is needed outside of the kernel */
function kernelOf(group: Group, used: (node: Node) => boolean, cut: Cut): Kernel {
  const { count, width } = group[0]!;
  const own = new Map(group.map((point) => [point.node, point]));
  const spaces = new Map(group.flatMap(({ leaves }) => [...leaves]));
  const outputs = group.filter(({ node }) => used(node));
  const sums = outputs.filter(({ kind }) => kind === 'columnSum');
  const lanes = 2 ** Math.ceil(Math.log2(width));
  // Blocks have powers of two for sides.
  const rows = Math.max(1, 2 ** Math.floor(Math.log2(Math.min(cut.rowsOfInstance, cut.lanesAtOnce / lanes))));
  const rowsOfInstance = sums.length > 0 ? rows * Math.ceil(cut.rowsOfInstance / rows) : rows;
  const instances = Math.ceil(count / rowsOfInstance);
  const inputs = externalLeaves(group).map((node, i) => ({
    ...{ node, space: spaces.get(node)!, name: `%in${i}` },
    stored: node.type.element as Stored,
  }));
  const results = outputs.map(({ node, kind }, i) => ({
    ...{ node, kind, name: `%out${i}` },
    stored: kind === 'block' ? ('bf16' as const) : ('f32' as const),
  }));

  const shared = new Map<Node, string>();
  const text = printKernel(
    'rows',
    { count, width, rows, rowsOfInstance, stages: cut.stages ?? 1 },
    [...inputs, ...results],
    (build) => {
      for (const { node, space, name, stored } of inputs) {
        if (space === 'column') shared.set(node, build.spread(build.load(name, 'column', stored), 'column'));
      }
    },
    (build) => {
      const at = evaluator(
        build,
        { count, width },
        own,
        shared,
        (node) => inputs.find((input) => input.node === node)!,
      );
      const totals: string[] = [];
      for (const { node, kind, name, stored } of results) {
        if (kind === 'columnSum') totals.push(build.reduce('add', at.full(own.get(node)!.body), 'column'));
        else if (isOfRow(kind)) build.store(name, at.row(node), 'row', stored);
        else build.store(name, at.full(own.get(node)!.body), 'full', stored);
      }
      return totals;
    },
    results.flatMap(({ kind, name }) => (kind === 'columnSum' ? [name] : [])),
  );
  const types = results.map(({ node, kind }): TensorType => {
    if (kind === 'columnSum') return { element: 'f32', shape: [instances, width] };
    return kind === 'block' ? node.type : { element: 'f32', shape: [count] };
  });
  return {
    call: tritonCall(
      'rows',
      text,
      instances,
      cut.warps,
      inputs.map(({ node }) => node.type),
      types,
    ),
    leaves: inputs.map(({ node }) => node),
    index: new Map(results.map(({ node }, i) => [node, i])),
  };
}

/** The program with such kernels in it. Programs with loops are left as they are. */
export function fuseRows(program: GraphProgram, choose: KernelChoice): GraphProgram {
  const roots = [...program.parameters, ...program.results];
  const nodes = allNodes(roots);
  const cutOf = (group: Group) => choose(kernelKind(group), [group[0]!.count, group[0]!.width]);
  const groups = nodes.some(({ operation }) => operation.op === 'loop')
    ? []
    : groupsOf(nodes).filter((group) => cutOf(group) !== undefined);
  if (groups.length === 0) return program;
  const groupOf = new Map(groups.flatMap((group) => group.map(({ node }) => [node, group] as const)));
  const external = new Map(groups.map((group) => [group, externalLeaves(group)]));
  /** What a value is made from in the new program: a kernel reads what its group reads. */
  const sources = (node: Node): readonly Node[] => {
    const group = groupOf.get(node);
    return group ? external.get(group)! : node.inputs;
  };
  // Points that only their own kernel's expressions take are never asked for.
  const wanted = reachable(roots, sources);
  const kernels = new Map<Group, { readonly bundle: Node; readonly kernel: Kernel }>();
  return rebuild(program, sources, (node, moved, graph) => {
    const group = groupOf.get(node);
    if (!group) return graph.add(node.operation, ...node.inputs.map(moved));
    let made = kernels.get(group);
    if (!made) {
      const kernel = kernelOf(group, (point) => wanted.has(point), cutOf(group)!);
      const bundle = graph.add({ op: 'custom_call', ...kernel.call }, ...kernel.leaves.map(moved));
      made = { bundle, kernel };
      kernels.set(group, made);
    }
    const value = result(made.bundle, made.kernel.index.get(node)!);
    // Each instance of the kernel has summed its own rows.
    return node.operation.op === 'reduce' && node.operation.axes[0] === 0 ? reduce('add', value, [0]) : value;
  });
}

function externalLeaves(group: Group): Node[] {
  const own = new Set(group.map(({ node }) => node));
  const leaves = new Set(group.flatMap((point) => [...point.leaves.keys()]));
  return [...leaves].filter((leaf) => !own.has(leaf));
}

/** Everything that roots are made from. */
function reachable(roots: readonly Node[], sources: (node: Node) => readonly Node[]): Set<Node> {
  const seen = new Set<Node>();
  const pending = [...roots];
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    pending.push(...sources(node));
  }
  return seen;
}
