import type { DataType } from '@tensorflow/tfjs-core';
import type { Node } from '../graph.js';
import { broadcastInDim, compare, concatenate, iota, positiveAxes, reshape, select, splat } from '../ops.js';
import { elementOf, sizeOf } from '../types.js';
import { attribute, type Kernel, type KernelTable } from './kernel.js';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/**
 * tfjs's gather: x is [batch…, outer…, n, inner…], indices [batch…, picked…], the result
 * [batch…, outer…, picked…, inner…]. Indices out of range take the nearest row.
 */
const gather: Kernel = (call) => {
  const [x, indices] = [call.inputs.x!, call.inputs.indices!];
  const rank = x.type.shape.length;
  const axis = positiveAxes(attribute<number>(call, 'axis'), rank)[0]!;
  const batchDims = attribute<number | undefined>(call, 'batchDims') ?? 0;
  const picked = indices.type.shape.length - batchDims;
  const outer = axis - batchDims;
  const batch = range(0, batchDims);
  const collapsed = [...batch, axis];
  return x.graph.add(
    {
      op: 'gather',
      offset: [
        ...range(batchDims, batchDims + outer),
        ...range(batchDims + outer + picked, rank - 1 + picked),
      ],
      collapsed,
      startIndexMap: collapsed,
      indexVector: indices.type.shape.length,
      sliceSizes: x.type.shape.map((n, i) => (collapsed.includes(i) ? 1 : n)),
    },
    x,
    indexVectors(indices, batchDims),
  );
};

/** Indices with their batch coordinates before them, along a last axis. */
function indexVectors(indices: Node, batchDims: number): Node {
  const shape = [...indices.type.shape, 1];
  const own = reshape(indices, shape);
  if (batchDims === 0) return own;
  const places = range(0, batchDims).map((axis) => iota(indices.graph, { element: 'i32', shape }, axis));
  return concatenate([...places, own], shape.length - 1);
}

/** The last axis of the indices holds positions along the first axes of x. */
const gatherNd: Kernel = ({ inputs }) => {
  const [x, indices] = [inputs.params!, inputs.indices!];
  const depth = indices.type.shape.at(-1)!;
  const lead = indices.type.shape.length - 1;
  const rank = x.type.shape.length;
  return x.graph.add(
    {
      op: 'gather',
      offset: range(lead, lead + rank - depth),
      collapsed: range(0, depth),
      startIndexMap: range(0, depth),
      indexVector: lead,
      sliceSizes: x.type.shape.map((n, i) => (i < depth ? 1 : n)),
    },
    x,
    indices,
  );
};

/** Puts updates at the positions that the last axis of the indices names; those out of range are dropped. */
function scatter(target: Node, indices: Node, updates: Node, combiner: 'add' | 'replace'): Node {
  const depth = indices.type.shape.at(-1)!;
  const lead = indices.type.shape.length - 1;
  return target.graph.add(
    {
      op: 'scatter',
      combiner,
      updateWindow: range(lead, updates.type.shape.length),
      inserted: range(0, depth),
      toOperand: range(0, depth),
      indexVector: lead,
    },
    target,
    indices,
    updates,
  );
}

const scatterNd: Kernel = (call) => {
  const { indices, updates } = call.inputs as { indices: Node; updates: Node };
  const type = { element: updates.type.element, shape: attribute<number[]>(call, 'shape') };
  return scatter(splat(call.graph, 0, type), indices, updates, 'add');
};

const segmentSum: Kernel = (call) => {
  const { x, segmentIds } = call.inputs as { x: Node; segmentIds: Node };
  const shape = [attribute<number>(call, 'numSegments'), ...x.type.shape.slice(segmentIds.type.shape.length)];
  const ids = reshape(segmentIds, [...segmentIds.type.shape, 1]);
  return scatter(splat(call.graph, 0, { element: x.type.element, shape }), ids, x, 'add');
};

const oneHot: Kernel = (call) => {
  const indices = call.inputs.indices!;
  const element = elementOf(attribute<DataType | undefined>(call, 'dtype') ?? 'int32')!;
  const shape = [...indices.type.shape, attribute<number>(call, 'depth')];
  const places = iota(call.graph, { element: 'i32', shape }, shape.length - 1);
  const spread = broadcastInDim(indices, shape, range(0, shape.length - 1));
  const value = (name: string) => splat(call.graph, attribute<number>(call, name), { element, shape });
  if (sizeOf(shape) === 0) return value('offValue');
  return select(compare('EQ', spread, places), value('onValue'), value('offValue'));
};

export const INDEXING_KERNELS: KernelTable = {
  GatherNd: gatherNd,
  GatherV2: gather,
  OneHot: oneHot,
  ScatterNd: scatterNd,
  TensorScatterUpdate: ({ inputs }) => scatter(inputs.tensor!, inputs.indices!, inputs.updates!, 'replace'),
  UnsortedSegmentSum: segmentSum,
};
