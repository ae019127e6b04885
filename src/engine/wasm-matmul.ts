import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { broadcast_util, type TensorInfo, util } from '@tensorflow/tfjs-core';
import type { WasmCall } from './wasm-call.js';

type Multiply = (
  a: number,
  aShape: Uint8Array,
  aRank: number,
  b: number,
  bShape: Uint8Array,
  bRank: number,
  transposeA: number,
  transposeB: number,
  out: number,
) => void;

/** The backend's own tables, which its type hides: a tensor is an id registered with a place on the heap. */
interface Heap {
  dataIdNextNumber: number;
  dataIdMap: { get(dataId: object): { memoryOffset: number } };
  wasm: {
    cwrap(name: string, result: null, parameters: readonly string[]): Multiply;
    tfjs: {
      registerTensor(id: number, size: number, memoryOffset: number): void;
      disposeData(id: number): void;
    };
  };
}

let multiply: Multiply | undefined;

/** Whether `batchMatMul` handles the operands: equal batch axes, or none on one side; not a mixture. */
export function isPlainBatch(a: TensorInfo, b: TensorInfo): boolean {
  const left = util.sizeFromShape(a.shape.slice(0, -2));
  const right = util.sizeFromShape(b.shape.slice(0, -2));
  return left === 1 || right === 1 || a.shape.slice(0, -2).join() === b.shape.slice(0, -2).join();
}

/**
 * BatchMatMul as one XNNPACK product for each batch entry, operands transposed beforehand:
 * its path is taken only for plain products of rank 3 with one entry. Entries are views, not copies.
 */
export function batchMatMul({ inputs, attrs, backend }: WasmCall): TensorInfo {
  const { a, b } = inputs as { a: TensorInfo; b: TensorInfo };
  const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
  const heap = backend as unknown as Heap;
  multiply ??= heap.wasm.cwrap('BatchMatMul', null, [
    'number',
    'array',
    'number',
    'number',
    'array',
    'number',
    'number',
    'number',
    'number',
  ]);

  const left = transposeA ? transposed(a, backend) : a;
  const right = transposeB ? transposed(b, backend) : b;
  const [rows, inner] = left.shape.slice(-2) as [number, number];
  const columns = right.shape.at(-1)!;
  const outer = broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const out = backend.makeOutput([...outer, rows, columns], 'float32');
  const entries = util.sizeFromShape(outer);
  const leftView = view(heap, left, rows * inner);
  const rightView = view(heap, right, inner * columns);
  const outView = view(heap, out, rows * columns);
  const leftShape = int32Bytes([1, rows, inner]);
  const rightShape = int32Bytes([1, inner, columns]);
  for (let entry = 0; entry < entries; entry++) {
    const ids = [leftView, rightView, outView].map((make) => make(entry)) as [number, number, number];
    multiply(ids[0], leftShape, 3, ids[1], rightShape, 3, 0, 0, ids[2]);
    // Frees the packed operand that XNNPACK keeps by id; the memory itself belongs to the whole tensor.
    for (const id of ids) heap.wasm.tfjs.disposeData(id);
  }
  if (left !== a) backend.disposeData(left.dataId);
  if (right !== b) backend.disposeData(right.dataId);
  return out;
}

/** Registers entry k of a tensor's last two axes as a tensor of its own; one of a single entry serves all. */
function view(heap: Heap, tensor: TensorInfo, size: number): (entry: number) => number {
  const { memoryOffset } = heap.dataIdMap.get(tensor.dataId);
  const entries = util.sizeFromShape(tensor.shape) / size;
  return (entry) => {
    const id = heap.dataIdNextNumber++;
    heap.wasm.tfjs.registerTensor(id, size, memoryOffset + (entries === 1 ? 0 : entry) * size * 4);
    return id;
  };
}

/** Rows and columns in tiles small enough that both the read and the written lines stay in cache. */
const TILE = 32;

/** The last two axes exchanged, in a new tensor that the caller disposes. */
function transposed(tensor: TensorInfo, backend: BackendWasm): TensorInfo {
  const [rows, columns] = tensor.shape.slice(-2) as [number, number];
  const out = backend.makeOutput([...tensor.shape.slice(0, -2), columns, rows], 'float32');
  const from = backend.typedArrayFromHeap(tensor) as Float32Array;
  const to = backend.typedArrayFromHeap(out) as Float32Array;
  const size = rows * columns;
  for (let base = 0; base < from.length; base += size) {
    for (let i0 = 0; i0 < rows; i0 += TILE) {
      const i1 = Math.min(i0 + TILE, rows);
      for (let j0 = 0; j0 < columns; j0 += TILE) {
        const j1 = Math.min(j0 + TILE, columns);
        for (let i = i0; i < i1; i++)
          for (let j = j0; j < j1; j++) to[base + j * rows + i] = from[base + i * columns + j]!;
      }
    }
  }
  return out;
}

const int32Bytes = (values: number[]) => new Uint8Array(new Int32Array(values).buffer);
