import type { Node } from './graph.js';
import type { Operation } from './operations.js';

/** What rewritings of products look at. */

export type Product = Extract<Operation, { op: 'dot_general' }>;

/** Parts begin where 16 bytes do. */
export const WIDTH_STEP = 8;

const isPlain = ({ lhsBatch, rhsBatch, lhsContracting, rhsContracting }: Product): boolean =>
  lhsBatch.length === 0 &&
  rhsBatch.length === 0 &&
  lhsContracting.length === 1 &&
  rhsContracting.length === 1;

/** A product of two matrices in bfloat16. */
export function productOf({ operation, inputs, type }: Node): Product | undefined {
  if (operation.op !== 'dot_general' || type.element !== 'bf16' || !isPlain(operation)) return undefined;
  return inputs.every((x) => x.type.element === 'bf16' && x.type.shape.length === 2) ? operation : undefined;
}

export const isWeight = ({ operation, inputs: [x] }: Node): boolean =>
  operation.op === 'convert' && x!.operation.op === 'parameter' && x!.type.element === 'f32';

export const isOne = (some: readonly Node[] | undefined, node: Node) =>
  some?.length === 1 && some[0] === node;

/** Who takes a value; a result of the program is taken by nobody's node, and counts as one. */
export function usersOf(nodes: readonly Node[], results: readonly Node[]): Map<Node, Node[]> {
  const users = new Map<Node, Node[]>();
  const take = (value: Node, user: Node) => {
    const known = users.get(value);
    if (!known) users.set(value, [user]);
    else if (!known.includes(user)) known.push(user);
  };
  for (const node of nodes) for (const input of node.inputs) take(input, node);
  for (const node of results) take(node, node);
  return users;
}
