import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import {
  backend_util,
  getKernel,
  type KernelFunc,
  registerKernel,
  type TensorInfo,
  unregisterKernel,
  util,
} from '@tensorflow/tfjs-core';
import { BINARY_NAMES, broadcast, combine, isBroadcast, isCombination } from './wasm-binary.js';
import type { WasmCall } from './wasm-call.js';
import { batchMatMul, isPlainBatch } from './wasm-matmul.js';

const BACKEND = 'wasm';

/**
 * Registers what tfjs's wasm backend lacks, gets wrong or is slow at, computed over its heap:
 * UnsortedSegmentSum (the gradient of every gather) is absent; GatherV2 with batchDims reads out of bounds;
 * BatchMatMul leaves XNNPACK (10 × slower) for transposed or batched operands; the element-wise binary
 * operations and Tile find every index anew (8 × slower than a plain loop). Seen in 4.22.0.
 */
export function registerWasmKernels(): void {
  if (getKernel('UnsortedSegmentSum', BACKEND)) return;
  registerKernel({
    kernelName: 'UnsortedSegmentSum',
    backendName: BACKEND,
    kernelFunc: segmentSum as unknown as KernelFunc,
  });
  override('GatherV2', (call) => Boolean(call.attrs.batchDims), gatherBatched);
  override('BatchMatMul', ({ inputs }) => isPlainBatch(inputs.a!, inputs.b!), batchMatMul);
  override(
    'Tile',
    ({ inputs, attrs }) => isBroadcast(inputs.x!, attrs.reps as number[]),
    ({ inputs, attrs, backend }) => broadcast(inputs.x!, attrs.reps as number[], backend),
  );
  for (const name of BINARY_NAMES)
    override(
      name,
      ({ inputs }) => isCombination(name, inputs.a!, inputs.b!),
      ({ inputs, backend }) => combine(name, inputs.a!, inputs.b!, backend),
    );
}

/** Puts `kernel` in the place of a registered one for the calls that `applies` picks; the rest go on as before. */
function override(
  name: string,
  applies: (call: WasmCall) => boolean,
  kernel: (call: WasmCall) => TensorInfo,
) {
  const original = getKernel(name, BACKEND);
  unregisterKernel(name, BACKEND);
  registerKernel({
    ...original,
    kernelFunc: (params) => {
      const call = params as unknown as WasmCall;
      return applies(call) ? kernel(call) : original.kernelFunc(params);
    },
  });
}

const floats = (backend: BackendWasm, tensor: TensorInfo) =>
  backend.typedArrayFromHeap(tensor) as Float32Array;
const integers = (backend: BackendWasm, tensor: TensorInfo) =>
  backend.typedArrayFromHeap(tensor) as Int32Array;

/** out[ids[i]] += x[i] over the leading axis, in order, so that the result is the same every time. */
function segmentSum({ inputs, attrs, backend }: WasmCall): TensorInfo {
  const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
  const count = attrs.numSegments as number;
  const out = backend.makeOutput([count, ...x.shape.slice(segmentIds.shape.length)], 'float32');
  const width = util.sizeFromShape(out.shape) / count;
  const [source, ids, target] = [floats(backend, x), integers(backend, segmentIds), floats(backend, out)];
  target.fill(0);
  ids.forEach((id, row) => {
    // A negative id drops its row, as tfjs documents.
    if (id < 0 || id >= count) return;
    for (let i = 0; i < width; i++) target[id * width + i]! += source[row * width + i]!;
  });
  return out;
}

/** GatherV2 whose leading `batchDims` axes belong to x and the indices alike. */
function gatherBatched({ inputs, attrs, backend }: WasmCall): TensorInfo {
  const { x, indices } = inputs as { x: TensorInfo; indices: TensorInfo };
  const axis = util.parseAxisParam(attrs.axis as number, x.shape)[0]!;
  const { batchSize, outerSize, dimSize, sliceSize, outputShape } =
    backend_util.segment_util.collectGatherOpShapeInfo(
      x as never,
      indices as never,
      axis,
      attrs.batchDims as number,
    );
  const out = backend.makeOutput(outputShape, x.dtype);
  const [source, ids, target] = [floats(backend, x), integers(backend, indices), floats(backend, out)];
  const perBatch = ids.length / batchSize;
  let at = 0;
  for (let batch = 0; batch < batchSize; batch++) {
    for (let outer = 0; outer < outerSize; outer++) {
      for (let i = 0; i < perBatch; i++, at += sliceSize) {
        const id = ids[batch * perBatch + i]!;
        if (id < 0 || id >= dimSize) throw new Error(`gather: the index ${id} is not in [0, ${dimSize - 1}]`);
        const from = ((batch * outerSize + outer) * dimSize + id) * sliceSize;
        target.set(source.subarray(from, from + sliceSize), at);
      }
    }
  }
  return out;
}
