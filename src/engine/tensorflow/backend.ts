import type { Tensor, TensorInfo } from '@tensorflow/tfjs-core';

type Values = Float32Array | Int32Array | Uint8Array;

/** What is used of tfjs-node's native binding (binding/tfjs_binding.cc, 4.22.0). */
export interface Binding {
  readonly TF_Version: string;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_COMPLEX64: number;
  createTensor(shape: readonly number[], dtype: number, values: Values): number;
  deleteTensor(id: number): void;
  executeOp(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    outputs: number,
  ): OutputMetadata[];
}

/** A tensor as the binding describes it. */
export interface OutputMetadata {
  id: number;
  shape: number[];
  dtype: number;
}

interface TensorData {
  shape: number[];
  dtype: number;
  /** Values that TensorFlow has not got yet; null once it has. */
  values: Values | null;
  id: number;
}

export interface OpAttribute {
  name: string;
  type: number;
  value: boolean | number;
}

/** What is used of tfjs-node's backend (dist/nodejs_kernel_backend.js, 4.22.0). */
export interface NodeBackend {
  readonly binding: Binding;
  readonly isUsingGpuDevice: boolean;
  readonly tensorMap: { get(dataId: object): TensorData };
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  executeSingleOutput(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly TensorInfo[],
  ): Tensor;
  createOutputTensor(metadata: OutputMetadata): Tensor;
  getDTypeInteger(dtype: string): number;
}

/** Axes, permutations, shapes, factors: what op-by-op programs upload again for every op. */
const LARGEST_CONSTANT = 16;
/** More different ones than any model's step has; the oldest makes room. */
const MOST_CONSTANTS = 4096;

const kept = new Map<string, number>();

/** The device's tensor of a small constant, made at its first use. It belongs to all: nobody may delete it. */
export function constantId(
  binding: Binding,
  shape: readonly number[],
  dtype: number,
  values: Values,
): number {
  const key = `${dtype}:${shape.join()}:${bitsOf(values).join()}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  if (kept.size >= MOST_CONSTANTS) {
    const [oldest, id] = kept.entries().next().value!;
    binding.deleteTensor(id);
    kept.delete(oldest);
  }
  // TensorFlow may keep reading the array that it is given, and tfjs's callers may write to theirs.
  const id = binding.createTensor(shape, dtype, values.slice());
  kept.set(key, id);
  return id;
}

/**
 * Keeps small constants on the device instead of uploading them for every op that names them: a training step of
 * eight layers has about 900 such uploads, each of which costs as much host time as an op.
 * Values that a program only reads are shared, so nothing can change them.
 */
export function keepConstants(backend: NodeBackend): void {
  const { binding, tensorMap } = backend;
  const constant = ({ shape, dtype, values }: TensorData): number =>
    constantId(binding, shape, dtype, values!);
  const original = backend.getInputTensorIds.bind(backend);
  backend.getInputTensorIds = (tensors) => {
    const ids: number[] = [];
    for (const tensor of tensors) {
      const data = tensorMap.get(tensor.dataId);
      if (data === undefined || (data.values !== null && !isSmallConstant(data))) return original(tensors);
      ids.push(data.values === null ? data.id : constant(data));
    }
    return ids;
  };
}

/** The bytes behind the numbers: −0 is no 0. */
const bitsOf = (values: Values): Uint8Array | Uint32Array =>
  values instanceof Uint8Array ? values : new Uint32Array(values.buffer, values.byteOffset, values.length);

const isSmallConstant = ({ values }: TensorData): boolean =>
  values!.length <= LARGEST_CONSTANT && ArrayBuffer.isView(values);
