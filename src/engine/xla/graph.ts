import { inferTypes } from './infer.js';
import type { Graph, Node, Operation } from './operations.js';
import { simplify } from './simplify.js';
import { sizeOf } from './types.js';

export type { Graph, Node };

/** Results with more elements than XLA can address are a mistake of shapes, not a program. */
const MAX_ELEMENTS = 2 ** 40;

/** Loop results are graphs of their own: a loop is told from others by its number alone. */
const keyOf = (operation: Operation, inputs: readonly Node[]): string =>
  JSON.stringify(operation.op === 'loop' ? [operation.op, operation.loop] : operation) +
  inputs.map(({ id }) => `,${id}`).join('');

function levelOf(operation: Operation, inputs: readonly Node[]): number {
  if (operation.op === 'parameter') return 0;
  if (operation.op === 'loop_argument') return operation.level;
  // A loop is written once, so it is never taken for a constant.
  return inputs.reduce((level, input) => Math.max(level, input.level), operation.op === 'loop' ? 0 : -1);
}

export function createGraph(): Graph {
  const known = new Map<string, Node>();
  let size = 0;
  let loops = 0;
  const graph: Graph = {
    add(operation, ...inputs) {
      const simpler = simplify(graph, operation, inputs);
      if (simpler) return simpler;
      const key = keyOf(operation, inputs);
      const found = known.get(key);
      if (found) return found;
      const types = inferTypes(operation, inputs);
      for (const { shape } of types) {
        if (sizeOf(shape) > MAX_ELEMENTS) throw new Error(`a result of shape [${shape}] is too large`);
      }
      const level = levelOf(operation, inputs);
      const node: Node = { graph, id: size++, operation, inputs, types, type: types[0]!, level };
      known.set(key, node);
      return node;
    },
    nextLoop: () => loops++,
    get size() {
      return size;
    },
  };
  return graph;
}

/** The nodes that `roots` depend on, in recording order; what is not among them is dead. */
export function reachable(roots: readonly Node[], follow: (node: Node) => boolean = () => true): Node[] {
  const seen = new Set<Node>();
  const pending = [...roots];
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (seen.has(node) || !follow(node)) continue;
    seen.add(node);
    pending.push(...node.inputs);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}
