import { type Tensor, engine as tfjs } from '@tensorflow/tfjs-core';
import { engineError } from '../../errors.js';
import type { Collectives, TensorTree } from '../engine.js';
import { flatten, mapTree } from '../tree.js';
import type { XlaBackend } from './backend.js';
import type { Node } from './graph.js';
import { convert, integers, multiply, result } from './ops.js';
import { axisOf, partOf } from './placement.js';

const refusal = (message: string, suggestion: string) =>
  engineError(message, { code: 'bad-collective', suggestions: [suggestion] });

/** What devices do together inside compiled functions (see `Collectives`), recorded as single operations. */
export function xlaCollectives(backend: XlaBackend, devices: number): Collectives {
  const graph = () => {
    if (!backend.graph) {
      throw refusal(
        'Devices were to exchange values outside a compiled function.',
        'Do so inside `compile`.',
      );
    }
    if (tfjs().state.gradientDepth > 0) {
      throw refusal(
        'Devices were to exchange values inside a function that is being differentiated.',
        'Take each device’s gradients first and add those up.',
      );
    }
    return backend.graph;
  };

  /** One operation for all nodes that `key` puts together; results in the order of `nodes`. */
  function together(
    nodes: readonly Node[],
    key: (node: Node, index: number) => string | number,
    record: (group: readonly Node[], index: number) => Node,
  ): Node[] {
    const groups = new Map<string | number, number[]>();
    nodes.forEach((node, i) => {
      const name = key(node, i);
      groups.set(name, [...(groups.get(name) ?? []), i]);
    });
    const results = [...nodes];
    for (const members of groups.values()) {
      const bundle = record(
        members.map((i) => nodes[i]!),
        members[0]!,
      );
      members.forEach((i, n) => {
        results[i] = result(bundle, n);
      });
    }
    return results;
  }

  return {
    sum<Tree extends TensorTree>(tree: Tree): Tree {
      if (devices === 1) return tree;
      const into = graph();
      const sums = together(
        flatten(tree).map((tensor) => backend.nodeOf(tensor)),
        ({ type }) => type.element,
        (group) => into.add({ op: 'all_reduce', devices }, ...group),
      );
      let next = 0;
      return mapTree(tree, () => backend.nodeTensor(sums[next++]!));
    },

    part(x: Tensor, axis: number): Tensor {
      if (devices === 1) return x;
      const into = graph();
      const whole = backend.nodeOf(x);
      const along = axisOf(axis, whole.type.shape.length);
      const { shape } = partOf(whole.type, along, devices);
      const device = convert(into.add({ op: 'replica_id' }), 'i32');
      const start = multiply(device, integers(into, [shape[along]!], []));
      const zero = integers(into, [0], []);
      const starts = shape.map((_, i) => (i === along ? start : zero));
      return backend.nodeTensor(into.add({ op: 'dynamic_slice', sizes: shape }, whole, ...starts));
    },

    gather(parts: readonly Tensor[], axes: readonly number[]): Tensor[] {
      if (devices === 1) return [...parts];
      const into = graph();
      const along = parts.map(({ shape }, i) => axisOf(axes[i]!, shape.length));
      return together(
        parts.map((tensor) => backend.nodeOf(tensor)),
        ({ type }, i) => `${type.element} ${along[i]}`,
        (group, first) => into.add({ op: 'all_gather', devices, axis: along[first]! }, ...group),
      ).map((node) => backend.nodeTensor(node));
    },
  };
}
