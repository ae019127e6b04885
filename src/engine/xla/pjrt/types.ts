/** Element types that programs and buffers may hold, named as XLA and StableHLO do (`i1` a truth value, `u…` unsigned). */
export type ElementType = 'f32' | 'f64' | 'bf16' | 'i1' | 'u8' | 'i32' | 'u32' | 'i64' | 'u64';

/** Host values: `bf16` as its upper 16 bits (Uint16Array), `i1` as bytes 0 or 1 (Uint8Array). */
export type HostValues =
  | Float32Array
  | Float64Array
  | Uint16Array
  | Uint8Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** What one argument or result of a program is. */
export interface BufferSpec {
  readonly elementType: ElementType;
  readonly shape: readonly number[];
}

/** A program as text, with the types that its `main` declares: checked before each execution. */
export interface ProgramSource {
  /** Used in messages only. */
  readonly name: string;
  /** StableHLO text of a module with a public `main`. */
  readonly text: string;
  readonly inputs: readonly BufferSpec[];
  readonly outputs: readonly BufferSpec[];
  /** Indices of the inputs that carry `tf.aliasing_output` and are consumed by an execution. */
  readonly donated: readonly number[];
}

export interface CompileSettings {
  /** XLA debug options by name, e.g. `{ xla_gpu_autotune_level: 4 }`. */
  readonly overrides?: Readonly<Record<string, string | number | boolean>>;
  /** Copies of the program, one device each (default 1). */
  readonly replicas?: number;
  /** Devices one copy is cut over (default 1); the module must say the same. */
  readonly partitions?: number;
  /** Read sharding from `sdy` attributes instead of `mhlo.sharding`. */
  readonly shardy?: boolean;
  /** Look in and fill the executable cache on disk (default true). */
  readonly cache?: boolean;
}

/** Bytes on the device of one execution, as the compiler planned them. */
export interface ExecutableMemory {
  readonly code: number;
  readonly arguments: number;
  readonly outputs: number;
  /** Results written over donated arguments. */
  readonly aliased: number;
  readonly temporary: number;
}

/** Bytes on one device now; undefined where the plugin does not say (CPU plugins do not). */
export interface DeviceMemory {
  readonly bytesInUse: number;
  readonly peakBytes?: number;
  readonly bytesLimit?: number;
}

/** Values on a device. The holder calls `dispose`; nothing is freed in time otherwise. */
export interface PjrtBuffer extends BufferSpec {
  readonly byteLength: number;
  /** Index of the device among `PjrtClient.devices`. */
  readonly device: number;
  /** True after `dispose`, or once donated. */
  readonly disposed: boolean;
  /** Copies the values to the host, row-major; rejects when what produced them failed. */
  read(): Promise<HostValues>;
  /** Resolves once the values are there; rejects when what produces them failed. */
  ready(): Promise<void>;
  /** Gives the memory back; twice is harmless. */
  dispose(): void;
}

/** What one execution returned on one device, in the order of the program's results. */
export interface PjrtResults {
  /** The buffer at a place, as an object of its own: made when it is asked for, for most are only handed on. */
  at(index: number): PjrtBuffer;
}

/** The inputs of one execution on one device. */
export interface PjrtInputs {
  /**
   * The first inputs: results of an earlier execution that lie side by side. All of them are consumed, and freed
   * once the execution is over, whether it writes over them or not.
   */
  readonly carried?: { readonly results: PjrtResults; readonly from: number; readonly count: number };
  /** Those after them. */
  readonly buffers: readonly PjrtBuffer[];
}

export interface PjrtExecutable {
  readonly name: string;
  /** Seconds spent in compiling or loading. */
  readonly compileSeconds: number;
  /** Whether the executable came from the cache on disk. */
  readonly cached: boolean;
  readonly memory: ExecutableMemory | undefined;
  /** The program as the compiler left it: a serialised HLO module. */
  optimizedProgram(): Uint8Array;
  /**
   * Queues one execution on the first device and returns its results at once (they may not be computed yet).
   * Donated inputs are consumed and may not be used again, the others stay the caller's.
   * Call `PjrtClient.room()` first, so that only a couple of executions wait in the device's queue.
   * @throws SparselawError (status 4) when an input has the wrong type or shape or was disposed, or the plugin refuses.
   */
  execute(inputs: readonly PjrtBuffer[]): PjrtBuffer[];
  /**
   * The same with the inputs of each device (replicas × partitions), giving the results of each. On a GPU the call,
   * which takes milliseconds for a large program, is made by another thread. No input may be disposed before it is
   * over. Where the call is made at once, its results are there at once: awaiting costs more than it seems.
   */
  executeOnDevices(inputs: readonly PjrtInputs[]): PjrtResults[] | Promise<PjrtResults[]>;
  dispose(): void;
}

export interface PjrtClient {
  /** `cpu`, `cuda`, … */
  readonly platform: string;
  /** The first device in the plugin's words. */
  readonly deviceDescription: string;
  /** What the plugin tells about the first device, e.g. `compute_capability: '9.0'`. */
  readonly deviceAttributes: Readonly<Record<string, string | number | boolean>>;
  /** Devices this client can use. */
  readonly deviceCount: number;
  readonly plugin: { readonly name: string; readonly version: string; readonly apiVersion: string };
  /** Copies values to a device; the array may be changed as soon as this returns. */
  upload(values: HostValues, elementType: ElementType, shape: readonly number[], device?: number): PjrtBuffer;
  /** Compiles without blocking the event loop, or loads from the cache on disk. */
  compile(program: ProgramSource, settings?: CompileSettings): Promise<PjrtExecutable>;
  /**
   * Resolves when fewer than two executions are under way; undefined where that is so already.
   * Rejects with the first failure of an earlier execution that nobody has seen yet.
   */
  room(): Promise<void> | undefined;
  /** Buffers alive: uploaded or returned, not yet disposed or donated. Constant across steps when nothing leaks. */
  readonly liveBuffers: number;
  memoryStats(device?: number): DeviceMemory | undefined;
  /** Bytes of the buffers alive on a device (default: the first), as their shapes have them. */
  heldBytes(device?: number): number;
  /** Waits for queued work, frees what is left and ends the client. */
  close(): Promise<void>;
}

export interface PjrtOptions {
  /** Path of the plugin's shared library. */
  readonly pluginPath: string;
  /** What the plugin calls itself in provenance, e.g. `lammps-jax-pjrt-cpu`; from its file otherwise. */
  readonly pluginName?: string;
  readonly pluginVersion?: string;
  /** sha256 of the library when already known (the executable cache is keyed by it). */
  readonly pluginHash?: string;
  /** Shared libraries the plugin needs, in loading order. */
  readonly libraries?: readonly string[];
  readonly device: 'cpu' | 'cuda';
  /** 0 everything … 3 (default) only fatal messages of the plugin on stderr. */
  readonly logLevel?: 0 | 1 | 2 | 3;
  /** Client creation options, e.g. `{ cpu_device_count: 2 }` or `{ memory_fraction: 0.9 }`. */
  readonly clientOptions?: Readonly<Record<string, string | number | boolean | readonly number[]>>;
  /** XLA debug options for every program of this client. */
  readonly overrides?: Readonly<Record<string, string | number | boolean>>;
}
