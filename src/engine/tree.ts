import { Tensor } from '@tensorflow/tfjs-core';
import type { TensorTree } from './index.js';

/** The tensors of a tree, depth first, keys in insertion order. */
export function flatten(tree: TensorTree): Tensor[] {
  if (tree instanceof Tensor) return [tree];
  return Object.values(tree).flatMap((child) => flatten(child as TensorTree));
}

/** A tree of the same structure, its tensors replaced one for one (in `flatten`'s order). */
export function mapTree<T extends TensorTree>(tree: T, replace: (tensor: Tensor, path: string) => Tensor): T {
  const visit = (node: TensorTree, path: string): TensorTree => {
    if (node instanceof Tensor) return replace(node, path);
    if (Array.isArray(node)) return node.map((child, i) => visit(child, `${path}[${i}]`));
    return Object.fromEntries(
      Object.entries(node).map(([key, child]) => [
        key,
        visit(child as TensorTree, path ? `${path}.${key}` : key),
      ]),
    );
  };
  return visit(tree, '') as T;
}

/** Disposes every tensor of a tree. */
export function disposeTree(tree: TensorTree): void {
  for (const tensor of flatten(tree)) tensor.dispose();
}
