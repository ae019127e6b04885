import { createGraph, type Graph, type Node } from './graph.js';

export interface GraphProgram {
  readonly parameters: readonly Node[];
  readonly results: readonly Node[];
}

/**
 * A program made anew, with other nodes in place of some.
 * @param sources what a node of the old program is made from in the new one
 * @param make the new node; `moved` gives those of its sources
 */
export function rebuild(
  { parameters, results }: GraphProgram,
  sources: (node: Node) => readonly Node[],
  make: (node: Node, moved: (source: Node) => Node, graph: Graph) => Node,
): GraphProgram {
  const graph = createGraph();
  const built = new Map<Node, Node>();
  const moved = (node: Node): Node => built.get(node)!;
  const pending = [...parameters, ...results];
  for (let node = pending.at(-1); node; node = pending.at(-1)) {
    const missing = built.has(node) ? [] : sources(node).filter((source) => !built.has(source));
    if (missing.length > 0) {
      pending.push(...missing);
      continue;
    }
    if (!built.has(node)) built.set(node, make(node, moved, graph));
    pending.pop();
  }
  return { parameters: parameters.map(moved), results: results.map(moved) };
}
