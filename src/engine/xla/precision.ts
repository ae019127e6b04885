import { capturesOf } from './fold.js';
import { createGraph, type Graph, type Node } from './graph.js';
import type { Operation, OperationName } from './operations.js';
import { convert, result } from './ops.js';
import { splatOf } from './simplify.js';
import { sameShape } from './types.js';

/**
 * The bfloat16 policy, as a rewriting of a recorded float32 program. Every value of it is *held* in one of two
 * forms, and arithmetic is always float32:
 *
 * - Products take bfloat16 operands and give bfloat16 results (sums inside are float32).
 * - What a product takes is held in bfloat16 for all of its users, so that one copy serves them: activations, and
 *   in the backward pass the gradients of activations.
 * - Sums, differences and constant multiples of bfloat16 values that are used more than once are held in bfloat16:
 *   residual streams. Rows looked up in a table are too.
 * - Everything else is float32: arguments and results of the program (master weights, optimiser state), what a
 *   loop carries, reductions, norm and softmax statistics, losses, scattered sums. A product takes a bfloat16
 *   copy of them.
 * - What devices add up travels as it is held: gradients that products gave take half the time on the way. Each sum
 *   of two devices is rounded once more.
 * - A value computed element by element from an argument of its own shape (the next weights) is never rounded,
 *   even when a product takes it.
 *
 * Each rule looks at operations and users alone: it knows nothing about what the program is.
 */

/** Operations that move elements without computing. */
const MOVING: ReadonlySet<OperationName> = new Set<OperationName>([
  'broadcast_in_dim',
  'concatenate',
  'dynamic_slice',
  'pad',
  'reshape',
  'reverse',
  'slice',
  'transpose',
]);

/** Values that come from outside of any arithmetic: never held in bfloat16. */
const SOURCES: ReadonlySet<OperationName> = new Set<OperationName>([
  'constant',
  'iota',
  'loop',
  'loop_argument',
  'parameter',
  'result',
  'rng_bit_generator',
]);

const isFloat32 = ({ type }: Node): boolean => type.element === 'f32';
const isConstant = (node: Node): boolean => splatOf(node) !== undefined;
const isParameterLike = ({ operation }: Node): boolean =>
  operation.op === 'parameter' || operation.op === 'loop_argument';

/** Operands that carry float32 values: not the index of a slice, nor the edge value of a pad. */
const floats = ({ inputs }: Node): readonly Node[] => inputs.filter(isFloat32);

const isNarrowing = ({ operation }: Node): boolean =>
  operation.op === 'convert' && operation.element === 'bf16';

/** All nodes of a program, those in loops too, in recording order. */
export function allNodes(roots: readonly Node[]): Node[] {
  const seen = new Set<Node>();
  const pending = [...roots];
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    pending.push(...node.inputs);
    if (node.operation.op === 'loop') pending.push(...node.operation.results, ...node.operation.arguments);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** Values computed element by element from an argument of their own shape. */
function mastersOf(nodes: readonly Node[]): Set<Node> {
  const masters = new Set<Node>();
  for (const node of nodes) {
    if (!isFloat32(node) || SOURCES.has(node.operation.op)) continue;
    const elementwise = node.inputs.every(({ type }) => sameShape(type.shape, node.type.shape));
    if (!elementwise || node.operation.op === 'dot_general') continue;
    if (node.inputs.some((input) => isFloat32(input) && (isParameterLike(input) || masters.has(input)))) {
      masters.add(node);
    }
  }
  return masters;
}

/** Computed values that a product takes, also through movements. */
function productOperands(nodes: readonly Node[]): Set<Node> {
  const wanted = new Set<Node>();
  for (const node of nodes.toReversed()) {
    const takes = node.operation.op === 'dot_general' || isNarrowing(node);
    if (takes || (MOVING.has(node.operation.op) && wanted.has(node))) {
      for (const input of floats(node)) wanted.add(input);
    }
  }
  return wanted;
}

function userCounts(nodes: readonly Node[]): Map<Node, number> {
  const counts = new Map<Node, number>();
  for (const node of nodes) {
    for (const input of new Set(node.inputs)) counts.set(input, (counts.get(input) ?? 0) + 1);
  }
  return counts;
}

/** Sums, differences, choices and constant multiples: they add no digits that matter to bfloat16 values. */
function isLinear({ operation, inputs }: Node): boolean {
  switch (operation.op) {
    case 'add':
    case 'subtract':
    case 'negate':
    case 'select':
      return true;
    case 'multiply':
      return inputs.some(isConstant);
    case 'divide':
      return isConstant(inputs[1]!);
    default:
      return false;
  }
}

/** Which values are held in bfloat16. */
function heldNarrow(nodes: readonly Node[], kept: ReadonlySet<Node>): Set<Node> {
  const masters = mastersOf(nodes);
  const wanted = productOperands(nodes);
  const users = userCounts(nodes);
  const narrow = new Set<Node>();
  const allNarrow = (node: Node): boolean => {
    const operands = floats(node).filter((input) => !isConstant(input));
    return operands.length > 0 && operands.every((input) => narrow.has(input));
  };
  for (const node of nodes) {
    const { op } = node.operation;
    if (!isFloat32(node) || SOURCES.has(op)) continue;
    if (op === 'dot_general' || (op === 'convert' && isBfloat16(node.inputs[0]!))) {
      narrow.add(node);
    } else if (op === 'gather') {
      if (!kept.has(node) && looksUp(node, narrow)) narrow.add(node);
    } else if (MOVING.has(op)) {
      if (allNarrow(node)) narrow.add(node);
    } else if (!masters.has(node) && !kept.has(node)) {
      const stream = isLinear(node) && (users.get(node) ?? 0) > 1 && allNarrow(node);
      if (wanted.has(node) || stream) narrow.add(node);
    }
  }
  return narrow;
}

/** Rows of a table of weights, or of values that are narrow already. */
function looksUp({ inputs: [table] }: Node, narrow: ReadonlySet<Node>): boolean {
  return narrow.has(table!) || (isParameterLike(table!) && table!.type.shape.length > 1);
}

const isBfloat16 = ({ type }: Node): boolean => type.element === 'bf16';

/** Results of the program and of loops: what is handed on keeps float32's digits. */
function handedOn(nodes: readonly Node[], results: readonly Node[]): Set<Node> {
  return new Set([
    ...results,
    ...nodes.flatMap(({ operation }) => (operation.op === 'loop' ? operation.results : [])),
  ]);
}

interface Program {
  readonly parameters: readonly Node[];
  readonly results: readonly Node[];
}

/**
 * The program with its arithmetic in bfloat16 as described above. Arguments and results keep their types, and the
 * arguments their order.
 */
export function toBfloat16({ parameters, results }: Program): { parameters: Node[]; results: Node[] } {
  const nodes = allNodes([...parameters, ...results]);
  const narrow = heldNarrow(nodes, handedOn(nodes, results));
  const rewriter = createRewriter(createGraph(), narrow);
  for (const node of nodes) rewriter.add(node);
  return {
    parameters: parameters.map((node) => rewriter.wide(node)),
    results: results.map((node) => rewriter.wide(node)),
  };
}

/** Builds the new graph; nodes are added in recording order. */
function createRewriter(graph: Graph, narrow: ReadonlySet<Node>) {
  const built = new Map<Node, Node>();
  const narrowCopies = new Map<Node, Node>();
  /** The results of an exchange, in their order: those in bfloat16 come from one of their own. */
  const exchanged = new Map<Node, readonly Node[]>();

  /** The value as it was recorded: float32 where that was its type. */
  function wide(node: Node): Node {
    const value = built.get(node)!;
    return isFloat32(node) && isBfloat16(value) ? convert(value, 'f32') : value;
  }

  /** The value in bfloat16. Copies are made before movements, so that one serves all of them. */
  function narrowed(node: Node): Node {
    const value = built.get(node)!;
    if (!isFloat32(node) || isBfloat16(value)) return value;
    const known = narrowCopies.get(node);
    if (known) return known;
    const copy = MOVING.has(node.operation.op)
      ? graph.add(node.operation, ...node.inputs.map(narrowed))
      : convert(value, 'bf16');
    narrowCopies.set(node, copy);
    return copy;
  }

  function rebuilt(node: Node): Node {
    const { operation, inputs } = node;
    switch (operation.op) {
      case 'dot_general':
        return graph.add(operation, ...inputs.map(narrowed));
      case 'convert':
        // Conversions to and from bfloat16 of the recorded program.
        if (operation.element === 'bf16') return narrowed(inputs[0]!);
        if (isBfloat16(inputs[0]!) && narrow.has(node)) return built.get(inputs[0]!)!;
        return graph.add(operation, wide(inputs[0]!));
      case 'loop':
        return rebuiltLoop(operation, inputs);
      case 'all_reduce':
        return rebuiltExchange(node);
      case 'result':
        return exchanged.get(inputs[0]!)?.[operation.index] ?? graph.add(operation, built.get(inputs[0]!)!);
      default:
        if (MOVING.has(operation.op) && narrow.has(node))
          return graph.add(operation, ...inputs.map(narrowed));
        return graph.add(operation, ...inputs.map(wide));
    }
  }

  function rebuiltExchange(node: Node): Node {
    const { operation, inputs } = node;
    const results: Node[] = [];
    for (const isNarrow of [true, false]) {
      const members = inputs.flatMap((input, i) => (narrow.has(input) === isNarrow ? [i] : []));
      if (members.length === 0) continue;
      const sum = graph.add(operation, ...members.map((i) => (isNarrow ? narrowed : wide)(inputs[i]!)));
      members.forEach((i, index) => {
        results[i] = result(sum, index);
      });
    }
    exchanged.set(node, results);
    return results[0]!;
  }

  function rebuiltLoop(operation: Extract<Operation, { op: 'loop' }>, inputs: readonly Node[]): Node {
    const results = operation.results.map(wide);
    return graph.add(
      { ...operation, arguments: operation.arguments.map(wide), results },
      ...inputs.slice(0, results.length).map(wide),
      ...capturesOf(results, operation.level),
    );
  }

  return {
    wide,
    add(node: Node): void {
      const value = rebuilt(node);
      built.set(node, narrow.has(node) ? convert(value, 'bf16') : value);
    },
  };
}
