import type { Tensor } from '@tensorflow/tfjs-core';

/** Engines by name; `cpu` (tfjs's plain JavaScript backend) is the slow reference that tests compare with. */
export type EngineName = 'xla' | 'tensorflow' | 'wasm' | 'cpu';
/** What `--engine` accepts. */
export const ENGINE_CHOICES = ['auto', 'xla', 'tensorflow', 'wasm', 'cpu'] as const;
export type EngineChoice = (typeof ENGINE_CHOICES)[number];

export const PRECISIONS = ['float32', 'tf32', 'bfloat16'] as const;
export type Precision = (typeof PRECISIONS)[number];

export const DEVICES = ['cpu', 'cuda'] as const;
export type DeviceKind = (typeof DEVICES)[number];

/** Values on the host, row-major. */
export interface HostTensor {
  dtype: 'float32' | 'int32';
  shape: readonly number[];
  values: Float32Array | Int32Array;
  /** The axis along which the engine's devices get equal parts; by default each gets the whole. */
  split?: number;
}

/** Tensors in nested objects and arrays; keys are visited in insertion order. */
export type TensorTree = Tensor | readonly TensorTree[] | { readonly [key: string]: TensorTree };

export interface CompileOptions {
  /** Names the program in messages, dumps and caches. */
  name: string;
  /** The state argument is consumed by each run: its memory is reused for the results of the same shape. */
  donate?: boolean;
  /**
   * On several devices the function is what one of them does: split arguments are seen in parts. This tells by its
   * path the axis along which a result lies in parts (negative: from the end); undefined where all have the whole.
   */
  splitResults?: (path: string) => number | undefined;
}

/** What devices do together inside a compiled function. On one device values stay what they are. */
export interface Collectives {
  /** Sums over the devices, of all tensors of a tree in one exchange. */
  sum<Tree extends TensorTree>(tree: Tree): Tree;
  /** This device's part of a value that all have, along an axis. */
  part(x: Tensor, axis: number): Tensor;
  /** The wholes of values that each device has a part of, along an axis each. */
  gather(parts: readonly Tensor[], axes: readonly number[]): Tensor[];
}

/** A compiled function. Shapes and dtypes are fixed by the first run. */
export interface Program<State extends TensorTree, Input extends TensorTree, Result extends TensorTree> {
  /**
   * Starts one execution and returns its results, which the caller owns (and disposes).
   * The promise resolves once the work is queued; `await tensor.data()` waits for a value.
   * With `donate` every tensor of `state` is consumed and must not be used again; `input` stays the caller's.
   */
  run(state: State, input: Input): Promise<Result>;
  dispose(): void;
}

export interface EngineMemory {
  /** Tensors the engine holds on its device right now: constant across steps when nothing leaks. */
  liveTensors: number;
  /** On the first device: as its runtime counts, else what the tensors held there take. */
  bytesInUse?: number;
  peakBytes?: number;
  /** What the device can hold at most, where it says. */
  bytesLimit?: number;
}

/**
 * A tfjs backend plus `compile`. Every function given to `compile` is pure, written in tfjs-core ops, and
 * never reads a tensor's value, so that one engine may run it op by op and another trace it into a program.
 */
export interface Engine {
  readonly name: EngineName;
  readonly device: DeviceKind;
  /** The device in words, e.g. `AMD EPYC (2 cores)` or `NVIDIA H200`. */
  readonly deviceDescription: string;
  readonly precision: Precision;
  /** How many devices each program runs on. */
  readonly devices: number;
  readonly collectives: Collectives;
  /** Whether the same program on the same input gives the same bytes every time. */
  readonly deterministic: boolean;
  /** Whether every op costs host time, so that few ops on large tensors are faster than many on small ones. */
  readonly prefersFewOps?: boolean;
  /** Versions that belong in a run's provenance, e.g. `{ plugin: 'lammps-jax-pjrt-cpu 0.11.2' }`. */
  readonly versions: Readonly<Record<string, string>>;
  /** Copies values to the device; the caller disposes the tensor. */
  upload(values: HostTensor): Tensor;
  compile<State extends TensorTree, Input extends TensorTree, Result extends TensorTree>(
    fn: (state: State, input: Input) => Result,
    options: CompileOptions,
  ): Program<State, Input, Result>;
  /**
   * Inside a compiled function: applies `body` once for each index of the leading axis of every tensor in
   * `inputs`, passing `carry` along; a loop in the program, not its unrolling. Gradients may be taken inside
   * `body`, not through the fold.
   */
  fold<Carry extends TensorTree, Input extends TensorTree>(
    body: (carry: Carry, input: Input) => Carry,
    carry: Carry,
    inputs: Input,
  ): Carry;
  memory(): EngineMemory;
  close(): Promise<void>;
}

export interface EngineOptions {
  precision?: Precision;
  device?: DeviceKind;
  /** How many devices programs run on (default 1); `all`: every GPU, or the one device that all cores make. */
  devices?: number | 'all';
  /** Have equal programs on equal inputs give equal bytes, also where that costs time (GPUs). */
  deterministic?: boolean;
  /** Write each program's text (StableHLO, where the engine has one) into this folder. */
  dumpProgramDir?: string;
  /** Told what a user should know though the engine works. */
  onWarning?: (message: string) => void;
}
