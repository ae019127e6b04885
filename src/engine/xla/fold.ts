import { type Tensor, engine as tfjs } from '@tensorflow/tfjs-core';
import { engineError } from '../../errors.js';
import type { TensorTree } from '../engine.js';
import { flatten, mapTree } from '../tree.js';
import type { XlaBackend } from './backend.js';
import { type Graph, type Node, reachable } from './graph.js';
import { integers, reshape, result } from './ops.js';
import { describeType, sameType, type TensorType } from './types.js';

const refusal = (message: string, suggestion: string) =>
  engineError(message, { code: 'bad-fold', suggestions: [suggestion] });

/** The number of rows that all inputs have. */
function rowCount(rows: readonly Node[]): number {
  const lengths = rows.map(({ type }) => type.shape[0]);
  if (lengths[0] === undefined || lengths.some((n) => n !== lengths[0])) {
    throw refusal(
      `fold takes inputs of one leading length, not ${rows.map(({ type }) => describeType(type)).join(' and ')}.`,
      'Give every input one row for each round.',
    );
  }
  return lengths[0];
}

/** Row `index` of `x`. */
function rowOf(x: Node, index: Node): Node {
  const [, ...shape] = x.type.shape;
  const zero = integers(x.graph, [0], []);
  const starts = [index, ...shape.map(() => zero)];
  return reshape(x.graph.add({ op: 'dynamic_slice', sizes: [1, ...shape] }, x, ...starts), shape);
}

/** Values of enclosing blocks that a loop's body uses. */
export function capturesOf(results: readonly Node[], level: number): Node[] {
  const own = reachable(results, (node) => node.level === level || node.level === -1);
  const used = [...results, ...own.flatMap(({ inputs }) => inputs)];
  return [...new Set(used.filter((node) => node.level >= 0 && node.level < level))];
}

function checkCarry(names: readonly string[], before: readonly TensorType[], after: readonly Node[]): void {
  if (before.length !== after.length) {
    throw refusal(
      `The body of fold takes ${before.length} carried tensors and returns ${after.length}.`,
      'Return a tree of the structure of `carry`.',
    );
  }
  after.forEach(({ type }, i) => {
    if (!sameType(type, before[i]!)) {
      throw refusal(
        `The body of fold changes the carried tensor "${names[i]}" from ${describeType(before[i]!)} to ${describeType(type)}.`,
        'A carried tensor keeps its shape and dtype.',
      );
    }
  });
}

/** Records `body` once, on the carried values and the rows of one round: see `Engine.fold`. */
export function recordFold<Carry extends TensorTree, Input extends TensorTree>(
  backend: XlaBackend,
  body: (carry: Carry, input: Input) => Carry,
  carry: Carry,
  inputs: Input,
): Carry {
  const graph = backend.graph;
  if (!graph) throw refusal('fold was called outside a compiled function.', 'Call it inside `compile`.');
  if (tfjs().state.gradientDepth > 0) {
    throw refusal(
      'fold was called inside a function that is being differentiated.',
      'Take gradients inside the body instead, and carry their sum.',
    );
  }
  const rows = flatten(inputs).map((tensor) => backend.nodeOf(tensor));
  const starts = flatten(carry).map((tensor) => backend.nodeOf(tensor));
  const names: string[] = [];
  mapTree(carry, (tensor, path) => {
    names.push(path);
    return tensor;
  });
  const count = rowCount(rows);
  if (count === 0 || starts.length === 0) return mapTree(carry, (tensor) => tensor.clone());

  const level = backend.level + 1;
  const loop = graph.nextLoop();
  const args = loopArguments(graph, loop, level, starts);
  const results = recordBody(backend, level, () => {
    const carried = eachInTurn(carry, args.slice(1), (node) => backend.nodeTensor(node)) as Carry;
    const row = eachInTurn(inputs, rows, (node) => backend.nodeTensor(rowOf(node, args[0]!))) as Input;
    return flatten(body(carried, row)).map((tensor) => backend.nodeOf(tensor));
  });
  checkCarry(
    names,
    starts.map(({ type }) => type),
    results,
  );
  const bundle = graph.add(
    { op: 'loop', loop, level, count, arguments: args, results },
    ...starts,
    ...capturesOf(results, level),
  );
  const ends = starts.map((_, i) => result(bundle, i));
  return eachInTurn(carry, ends, (node) => backend.nodeTensor(node)) as Carry;
}

function loopArguments(graph: Graph, loop: number, level: number, starts: readonly Node[]): Node[] {
  const types: TensorType[] = [{ element: 'i32', shape: [] }, ...starts.map(({ type }) => type)];
  return types.map((type, index) => graph.add({ op: 'loop_argument', loop, level, index, type }));
}

function recordBody(backend: XlaBackend, level: number, record: () => Node[]): Node[] {
  backend.level = level;
  tfjs().startScope('fold');
  try {
    return record();
  } finally {
    tfjs().endScope();
    backend.level = level - 1;
  }
}

/** The tree with its leaves replaced by tensors of `nodes`, in order. */
function eachInTurn(tree: TensorTree, nodes: readonly Node[], tensorOf: (node: Node) => Tensor): TensorTree {
  let next = 0;
  return mapTree(tree, () => tensorOf(nodes[next++]!));
}
