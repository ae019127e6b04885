import { type Tensor, engine as tfjs } from '@tensorflow/tfjs-core';
import { engineError } from '../../errors.js';
import type { Collectives, TensorTree } from '../index.js';
import { flatten, mapTree } from '../tree.js';
import type { XlaBackend } from './backend.js';
import type { Node } from './graph.js';
import { convert, integers, multiply, result } from './ops.js';
import { axisOf, partOf } from './placement.js';
import { sizeOf } from './types.js';

const refusal = (message: string, suggestion: string) =>
  engineError(message, { code: 'bad-collective', suggestions: [suggestion] });

/** How the devices' values are summed. */
export interface Exchange {
  /**
   * Values that go together, in bytes of float32: what the backward pass has computed first is under way while it
   * computes the rest.
   */
  readonly bucketBytes: number;
  /** Matrices are rounded to bfloat16 for the way. */
  readonly narrow: boolean;
}

const DEFAULT_EXCHANGE: Exchange = { bucketBytes: 2 ** 25, narrow: false };

/** What devices do together inside compiled functions (see `Collectives`), recorded as single operations. */
export function xlaCollectives(
  backend: XlaBackend,
  devices: number,
  { bucketBytes, narrow } = DEFAULT_EXCHANGE,
): Collectives {
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
      const nodes = flatten(tree).map((tensor) => backend.nodeOf(tensor));
      const sent = nodes.map((node) =>
        narrow && node.type.element === 'f32' && node.type.shape.length > 1 ? convert(node, 'bf16') : node,
      );
      const buckets = bucketsOf(nodes, bucketBytes);
      const sums = together(
        sent,
        ({ type }, i) => `${type.element} ${buckets[i]}`,
        (group) => into.add({ op: 'all_reduce', devices }, ...group),
      ).map((sum, i) => convert(sum, nodes[i]!.type.element));
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

/** The bucket of each value: filled in the order in which they are computed. */
function bucketsOf(nodes: readonly Node[], bucketBytes: number): number[] {
  const buckets = new Array<number>(nodes.length);
  const order = nodes.map((_, i) => i).sort((a, b) => nodes[a]!.id - nodes[b]!.id);
  let bucket = 0;
  let bytes = 0;
  for (const i of order) {
    if (bytes >= bucketBytes) [bucket, bytes] = [bucket + 1, 0];
    buckets[i] = bucket;
    bytes += 4 * sizeOf(nodes[i]!.type.shape);
  }
  return buckets;
}
