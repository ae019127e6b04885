import {
  type BackendValues,
  type DataType,
  KernelBackend,
  type Tensor,
  type TensorInfo,
  engine as tfjs,
} from '@tensorflow/tfjs-core';
import { engineError } from '../../errors.js';
import type { Graph, Node } from './graph.js';
import type { KernelChoice } from './kernel-choice.js';
import { denseLiteral } from './literals.js';
import type { PjrtBuffer } from './pjrt/index.js';
import { joinValues, type Split } from './placement.js';
import { describeType, dtypeOf, elementOf, type HostArray, sizeOf, type TensorType } from './types.js';

/** The name under which tfjs knows the backend. */
export const BACKEND = 'xla';

type DataId = object;

/** A tensor on the devices of an engine. */
export interface DeviceValue {
  /** Of the whole. */
  readonly type: TensorType;
  /** One a device: equal ones, or parts along the axis `split`. */
  readonly buffers: readonly PjrtBuffer[];
  readonly split: Split;
}

/** What stands behind a tensor: a value of the program being recorded, device buffers, or values on the host. */
type Value =
  | { readonly kind: 'node'; readonly node: Node }
  | ({ readonly kind: 'device' } & DeviceValue)
  | { readonly kind: 'host'; readonly values: HostArray; readonly shape: number[]; readonly dtype: DataType };

interface Entry {
  readonly value: Value;
  references: number;
}

/** What a device's compiler and runtime fuse. */
export interface Fusions {
  /** A kernel for causal attention on these shapes. */
  causalAttention?(q: readonly number[], k: readonly number[]): boolean;
  /** A small table is fused into all that read it, and so computed again for each of their elements. */
  readonly repeatsTables?: boolean;
  /** Kernels of our own, where its compiler takes them. */
  readonly kernels?: KernelChoice;
}

/** Larger captured values do not belong in a program's text. */
const MAX_CONSTANT_ELEMENTS = 2 ** 20;

/** tfjs ops that draw their numbers on the host: recorded, they would be the same numbers in every execution. */
const HOST_RANDOM =
  /^(rand|randomUniform|randomUniformInt|randomNormal|randomStandardNormal|randomGamma|truncatedNormal)__op$/;

/**
 * The tfjs backend of all XLA engines. It computes nothing: while a graph is open its tensors are nodes of that
 * graph, otherwise they are device buffers or host values.
 */
export class XlaBackend extends KernelBackend {
  /** The graph being recorded; undefined outside of tracing. */
  graph: Graph | undefined;
  /** What the device of the program being recorded fuses; undefined where nothing is. */
  fusions: Fusions | undefined;
  /** How many loops deep the recording is. */
  level = 0;
  readonly #entries = new Map<DataId, Entry>();

  /** A new data id for a value. */
  #hold(value: Value): DataId {
    const dataId = {};
    this.#entries.set(dataId, { value, references: 1 });
    return dataId;
  }

  #entry(dataId: DataId): Entry {
    // A tensor of another backend is moved here; it can be moved back, for its values are kept.
    if (!this.#entries.has(dataId)) tfjs().moveData(this, dataId);
    return this.#entries.get(dataId)!;
  }

  holdNode(node: Node): TensorInfo {
    const { element, shape } = node.type;
    return { dataId: this.#hold({ kind: 'node', node }), shape: [...shape], dtype: dtypeOf(element) };
  }

  /** A tensor that stands for a node; it lives in the current tfjs scope. */
  nodeTensor(node: Node): Tensor {
    return tfjs().makeTensorFromTensorInfo(this.holdNode(node), this);
  }

  /** A tensor that owns device buffers. */
  deviceTensor({ type, buffers, split }: DeviceValue): Tensor {
    const dataId = this.#hold({ kind: 'device', type, buffers, split });
    const info = { dataId, shape: type.shape as number[], dtype: dtypeOf(type.element) };
    return tfjs().makeTensorFromTensorInfo(info, this);
  }

  /** Another tensor on the same value. */
  share(x: TensorInfo): TensorInfo {
    this.#entry(x.dataId).references++;
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  }

  /** Whether the program being recorded may call a fused kernel on these shapes (see `fusedCausalAttention`). */
  fusesCausalAttention(q: readonly number[], k: readonly number[]): boolean {
    return this.fusions?.causalAttention?.(q, k) ?? false;
  }

  /** Whether the program being recorded should hold a table back from fusion (see `computedOnce`). */
  get repeatsTables(): boolean {
    return this.fusions?.repeatsTables ?? false;
  }

  /** What stands behind a tensor of this backend; undefined for one of another backend. */
  held(dataId: DataId): Value | undefined {
    return this.#entries.get(dataId)?.value;
  }

  /** The node that a tensor stands for while recording; host values become constants. */
  nodeOf(x: TensorInfo): Node {
    const { value } = this.#entry(x.dataId);
    const graph = this.graph!;
    if (value.kind === 'node') {
      if (value.node.graph !== graph) {
        throw engineError('A tensor of a finished trace was used in another compiled function.', {
          code: 'stale-trace',
          suggestions: ['Return it from the first function and pass the result to the second.'],
        });
      }
      return value.node;
    }
    if (value.kind === 'device') {
      throw engineError(
        `A compiled function uses the device tensor ${describeType(value.type)} without taking it as an argument.`,
        { code: 'captured-tensor', suggestions: ['Pass it in the state or in the input of the function.'] },
      );
    }
    return constantNode(graph, value.values, x.shape, value.dtype);
  }

  override write(values: BackendValues, shape: number[], dtype: DataType): DataId {
    const scope = tfjs().state.activeScope?.name ?? '';
    if (this.graph && HOST_RANDOM.test(scope)) {
      throw engineError(
        `tf.${scope.replace('__op', '')} draws its numbers on the host: a compiled function would reuse the same ones in every execution.`,
        {
          code: 'host-randomness',
          suggestions: [
            'Pass random values as input, or draw from a state with threefryUniform or threefryNormal.',
          ],
        },
      );
    }
    return this.#hold({ kind: 'host', values: hostArray(values, dtype), shape, dtype });
  }

  override move(
    dataId: DataId,
    values: BackendValues,
    shape: number[],
    dtype: DataType,
    references: number,
  ): void {
    const value: Value = { kind: 'host', values: hostArray(values, dtype), shape, dtype };
    this.#entries.set(dataId, { value, references });
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    const { value } = this.#entry(dataId);
    if (value.kind === 'device') {
      const { buffers, split, type } = value;
      if (split === undefined) return (await buffers[0]!.read()) as HostArray;
      const parts = (await Promise.all(buffers.map((buffer) => buffer.read()))) as HostArray[];
      return joinValues(parts, type.shape, split);
    }
    return this.readSync(dataId);
  }

  override readSync(dataId: DataId): BackendValues {
    const { value } = this.#entry(dataId);
    if (value.kind === 'host') return value.values;
    if (value.kind === 'device') {
      throw engineError('A device tensor was read synchronously.', {
        code: 'synchronous-read',
        suggestions: ['Use `await tensor.data()`.'],
      });
    }
    throw engineError(
      `The value of a traced tensor (${describeType(value.node.type)}, from ${value.node.operation.op}) was read while its program is being compiled.`,
      {
        code: 'traced-value-read',
        suggestions: [
          'Return the tensor from the compiled function and read the result with `await tensor.data()`.',
        ],
      },
    );
  }

  override disposeData(dataId: DataId, force = false): boolean {
    const entry = this.#entries.get(dataId);
    if (!entry) return true;
    entry.references--;
    if (!force && entry.references > 0) return false;
    if (entry.value.kind === 'device') for (const buffer of entry.value.buffers) buffer.dispose();
    this.#entries.delete(dataId);
    return true;
  }

  override refCount(dataId: DataId): number {
    return this.#entries.get(dataId)?.references ?? 0;
  }

  /** tfjs calls this for variables alone. */
  override incRef(dataId: DataId): void {
    if (this.graph) {
      throw engineError('A variable was created or assigned inside a compiled function.', {
        code: 'variable-assigned',
        suggestions: ['Take the old value as state and return the new one.'],
      });
    }
    this.#entry(dataId).references++;
  }

  override numDataIds(): number {
    return this.#entries.size;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: false };
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override dispose(): void {}
}

function hostArray(values: BackendValues, dtype: DataType): HostArray {
  if (!elementOf(dtype)) {
    throw engineError(`The engine xla has no tensors of dtype ${dtype}.`, { code: 'unsupported-dtype' });
  }
  if (dtype === 'float32') return Float32Array.from(values as Float32Array);
  return dtype === 'int32' ? Int32Array.from(values as Int32Array) : Uint8Array.from(values as Uint8Array);
}

function constantNode(graph: Graph, values: HostArray, shape: readonly number[], dtype: DataType): Node {
  const element = elementOf(dtype)!;
  const literal = denseLiteral(values, { element, shape });
  if (literal.splat === undefined && sizeOf(shape) > MAX_CONSTANT_ELEMENTS) {
    throw engineError(
      `A compiled function holds a constant of ${sizeOf(shape)} elements (${dtype} [${shape}]).`,
      { code: 'large-constant', suggestions: ['Pass it in the state or in the input of the function.'] },
    );
  }
  return graph.add({ op: 'constant', literal });
}
