import {
  add,
  cast,
  gather,
  gatherND,
  getBackend,
  getKernel,
  greaterEqual,
  matMul,
  maximum,
  mul,
  oneHot,
  range,
  reshape,
  scatterND,
  type Tensor,
  transpose,
  unsortedSegmentSum,
  util,
  zerosLike,
} from '@tensorflow/tfjs-core';
import { register, registerFlat } from './shared.js';

export function registerIndexingGradients(): void {
  register('GatherV2', { inputsToSave: ['x', 'indices'] }, (dy, saved, attributes) => {
    const [x, indices] = saved as [Tensor, Tensor];
    const axis = util.parseAxisParam(attributes.axis as number, x.shape)[0]!;
    return {
      x: () => gatherGradient(dy, x.shape, indices, axis, (attributes.batchDims as number) ?? 0),
      indices: () => cast(zerosLike(indices), 'float32'),
    };
  });
  register('UnsortedSegmentSum', { inputsToSave: ['segmentIds'] }, (dy, [ids]) => ({
    x: () => {
      // Rows with a negative id were dropped from every sum.
      const picked = gather(dy, maximum(ids!, zerosLike(ids!)));
      const kept = cast(greaterEqual(ids!, zerosLike(ids!)), 'float32');
      return mul(picked, reshape(kept, [...ids!.shape, ...dy.shape.slice(1).fill(1)]));
    },
  }));
  register('GatherNd', { inputsToSave: ['params', 'indices'] }, (dy, [params, indices]) => ({
    params: () => scatterND(indices!, dy, params!.shape),
  }));
  register('ScatterNd', { inputsToSave: ['indices'] }, (dy, [indices]) => ({
    updates: () => gatherND(dy, indices!),
  }));
  registerFlat(['OneHot'], ['indices']);
}

/**
 * Adds each gathered slice's gradient to the row it came from. The batch axes are folded into the gathered one:
 * [batch…, outer…, n, inner…] is treated as batch·n rows of outer·inner.
 */
function gatherGradient(
  dy: Tensor,
  shape: readonly number[],
  indices: Tensor,
  axis: number,
  batchDims: number,
): Tensor {
  const batch = shape.slice(0, batchDims);
  const outer = shape.slice(batchDims, axis);
  const inner = shape.slice(axis + 1);
  const length = shape[axis]!;
  const size = (lengths: readonly number[]) => lengths.reduce((product, n) => product * n, 1);
  const batches = size(batch);
  const picks = indices.size / batches;

  // dy is [batch, outer, picks, inner]; rows must lead.
  const grouped = reshape(dy, [batches, size(outer), picks, size(inner)]);
  const values = reshape(transpose(grouped, [0, 2, 1, 3]), [batches * picks, size(outer) * size(inner)]);
  const ids = reshape(indices, [batches, picks]);
  const offsets = batches === 1 ? null : reshape(range(0, batches * length, length, 'int32'), [batches, 1]);
  const rows = reshape(offsets ? add(ids, offsets) : ids, [batches * picks]);
  const summed = segmentSum(values, rows, batches * length);
  const ungrouped = transpose(reshape(summed, [batches, length, size(outer), size(inner)]), [0, 2, 1, 3]);
  return reshape(ungrouped, [...shape]);
}

/** Σ of the rows of each id. tfjs's wasm backend lacks that kernel: there it is a product with the one-hot matrix. */
function segmentSum(values: Tensor, ids: Tensor, count: number): Tensor {
  if (getKernel('UnsortedSegmentSum', getBackend())) {
    return unsortedSegmentSum(values, ids as Parameters<typeof unsortedSegmentSum>[1], count);
  }
  return matMul(transpose(cast(oneHot(ids, count), 'float32')), values);
}
