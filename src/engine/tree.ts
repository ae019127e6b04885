import { Tensor } from '@tensorflow/tfjs-core';
import type { TensorTree } from './engine.js';

/** The tensors of a tree, depth first, keys in insertion order. */
export function flatten(tree: TensorTree): Tensor[] {
  const tensors: Tensor[] = [];
  // A step's state has hundreds of leaves, each step several times: no lists in between, no paths.
  const visit = (node: TensorTree): void => {
    if (node instanceof Tensor) tensors.push(node);
    else if (Array.isArray(node)) for (const child of node) visit(child);
    else for (const key in node) visit((node as Record<string, TensorTree>)[key]!);
  };
  visit(tree);
  return tensors;
}

/** A tree of the same structure with other tensors, given in `flatten`'s order. */
export function replaceTensors<T extends TensorTree>(tree: T, next: () => Tensor): T {
  const visit = (node: TensorTree): TensorTree => {
    if (node instanceof Tensor) return next();
    if (Array.isArray(node)) return node.map(visit);
    const copy: Record<string, TensorTree> = {};
    for (const key in node) copy[key] = visit((node as Record<string, TensorTree>)[key]!);
    return copy;
  };
  return visit(tree) as T;
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
