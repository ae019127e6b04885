import { type FileHandle, open } from 'node:fs/promises';
import { inputError } from '../errors.js';
import { writeStreamAtomic } from './atomic.js';
import { withFile } from './file-error.js';
import { bfloat16FromFloat32, float16FromFloat32, float32FromBfloat16, float32FromFloat16 } from './half.js';
import { printable } from './printable.js';
import {
  DTYPE_BYTES,
  readHeader,
  type SafetensorsDtype,
  type SafetensorsHeader,
  type TensorEntry,
} from './safetensors-header.js';

export type { SafetensorsDtype, SafetensorsHeader, TensorEntry };

type Values =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A tensor on the host, row-major, in an ArrayBuffer of its own (unless it was read into a `FloatReading.room`). */
export interface HostTensorF<Data extends Values = Values> {
  /** As stored; BF16 and F16 come as Float32Array, BOOL as Uint8Array. */
  dtype: SafetensorsDtype;
  shape: number[];
  data: Data;
}

export interface TensorToWrite {
  dtype: 'F32' | 'BF16' | 'F16' | 'I32' | 'I64' | 'U32' | 'U8';
  shape: readonly number[];
  /** Of the dtype's own kind; for BF16 and F16 a Float32Array, rounded to nearest even. */
  data: Values;
}

/** Linux reads at most 2^31 − 4096 bytes at once. */
const MAX_READ_BYTES = 2 ** 30;
const HALF_CHUNK_BYTES = 2 ** 24;
/** Weights come in parts that a processor's cache holds; only a tensor's first part is waited for with nothing to do. */
const PART_BYTES = 2 ** 21;

/** How weights are read. */
export interface FloatReading {
  /**
   * Gives the memory for so many values, by default new. New memory costs more, page by page, than the conversion
   * does: who is done with a tensor before the next gives the same again (`floatRoom`).
   */
  room?: (length: number) => Float32Array;
  /** Sees each part of a tensor as soon as it is there, while the next is read. @param first its place in the tensor */
  onPart?: (name: string, part: Float32Array, first: number) => void;
}

/** Memory that each tensor is read into after the other: values are valid until the next call. */
export function floatRoom(): (length: number) => Float32Array {
  let memory = new Float32Array(0);
  return (length) => {
    if (memory.length < length) memory = new Float32Array(length);
    return memory.subarray(0, length);
  };
}

/** The checked header of a file. @throws SparselawError (status 3) naming file and tensor */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  return withOpen(path, (handle) => readHeader(handle, path));
}

/**
 * Reads tensors one after another, in file order, so that a large file needs the memory of its largest tensor.
 * @param names only these; one that is missing is an error (status 3)
 */
export function eachTensor(path: string, names?: Iterable<string>): AsyncGenerator<[string, HostTensorF]> {
  return eachOf(path, names, (handle, entry, name) => readData(handle, entry, path, name));
}

/** `eachTensor` for weights. @throws SparselawError (status 3) when a tensor is not F32, BF16 or F16 */
export function eachFloatTensor(
  path: string,
  names?: Iterable<string>,
  reading: FloatReading = {},
): AsyncGenerator<[string, HostTensorF<Float32Array>]> {
  return eachOf(path, names, (handle, entry, name) => {
    const { dtype } = entry;
    if (isFloat(dtype)) return readFloats(handle, { ...entry, dtype }, path, name, reading);
    throw unreadable(path, name, dtype, 'float32, bfloat16 or float16');
  });
}

async function* eachOf<Data extends Values>(
  path: string,
  names: Iterable<string> | undefined,
  read: (handle: FileHandle, entry: TensorEntry, name: string) => Promise<Data>,
): AsyncGenerator<[string, HostTensorF<Data>]> {
  const handle = await withFile('read', path, () => open(path, 'r'));
  try {
    const { tensors } = await withFile('read', path, () => readHeader(handle, path));
    for (const name of names ?? tensors.keys()) {
      const entry = tensors.get(name);
      if (!entry) {
        throw inputError(`${printable(path)} holds no tensor "${printable(name)}".`, {
          code: 'missing-tensor',
        });
      }
      const data = await withFile('read', path, async () => read(handle, entry, name));
      yield [name, { dtype: entry.dtype, shape: entry.shape, data }];
    }
  } finally {
    await handle.close();
  }
}

/** Reads tensors, all or those named. @throws SparselawError (status 3) naming file and tensor */
export const readTensors = (path: string, names?: Iterable<string>): Promise<Map<string, HostTensorF>> =>
  collect(eachTensor(path, names));

/** `readTensors` for weights. @throws SparselawError (status 3) when a tensor is not F32, BF16 or F16 */
export const readFloatTensors = (
  path: string,
  names?: Iterable<string>,
  reading?: FloatReading,
): Promise<Map<string, HostTensorF<Float32Array>>> => collect(eachFloatTensor(path, names, reading));

async function collect<T>(entries: AsyncIterable<[string, T]>): Promise<Map<string, T>> {
  const all = new Map<string, T>();
  for await (const [name, value] of entries) all.set(name, value);
  return all;
}

async function withOpen<T>(path: string, work: (handle: FileHandle) => Promise<T>): Promise<T> {
  return withFile('read', path, async () => {
    const handle = await open(path, 'r');
    try {
      return await work(handle);
    } finally {
      await handle.close();
    }
  });
}

const unreadable = (path: string, name: string, dtype: string, wanted: string) =>
  inputError(`${printable(path)}: tensor "${printable(name)}" is ${dtype}, not ${wanted}.`, {
    code: 'bad-dtype',
  });

async function readData(handle: FileHandle, entry: TensorEntry, path: string, name: string): Promise<Values> {
  const { dtype, bytes, start } = entry;
  if (dtype === 'F8_E4M3' || dtype === 'F8_E5M2')
    throw unreadable(path, name, dtype, 'a dtype that is read here');
  if (isFloat(dtype)) return readFloats(handle, { ...entry, dtype }, path, name, {});
  const data = allocate(entry, path, name, () => new ARRAYS[dtype](new ArrayBuffer(bytes)));
  await readFully(handle, data, start, path);
  return data;
}

function allocate<Data>({ bytes }: TensorEntry, path: string, name: string, make: () => Data): Data {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw inputError(
      `${printable(path)}: tensor "${printable(name)}" of ${bytes} bytes does not fit into memory.`,
      { code: 'tensor-too-large', cause: error },
    );
  }
}

const ARRAYS = {
  F64: Float64Array,
  F32: Float32Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

type FloatDtype = keyof typeof CONVERSIONS;
/** What makes float32 of each kind of weight; float32 is read in place. */
const CONVERSIONS = { F32: undefined, BF16: float32FromBfloat16, F16: float32FromFloat16 } as const;
const isFloat = (dtype: SafetensorsDtype): dtype is FloatDtype => Object.hasOwn(CONVERSIONS, dtype);

/** A weight as float32; while one part is converted and seen, the next is read. */
async function readFloats(
  handle: FileHandle,
  entry: TensorEntry & { dtype: FloatDtype },
  path: string,
  name: string,
  { room = (size) => new Float32Array(size), onPart }: FloatReading,
): Promise<Float32Array> {
  const width = DTYPE_BYTES[entry.dtype];
  const out = allocate(entry, path, name, () => room(entry.bytes / width));
  const convert = CONVERSIONS[entry.dtype];
  const length = Math.min(entry.bytes, PART_BYTES) / width;
  const halves = convert && [new Uint16Array(length), new Uint16Array(length)];
  const partAt = (done: number) => out.subarray(done, done + length);
  const read = async (done: number) => {
    const target = halves ? halves[(done / length) & 1]!.subarray(0, out.length - done) : partAt(done);
    await readFully(handle, target, entry.start + width * done, path);
    return target;
  };
  let next = out.length > 0 ? read(0) : undefined;
  try {
    for (let done = 0; next; done += length) {
      const stored: Uint16Array | Float32Array = await next;
      next = done + length < out.length ? read(done + length) : undefined;
      const part = partAt(done);
      if (stored instanceof Uint16Array) convert?.(stored, part);
      onPart?.(name, part, done);
    }
  } finally {
    // A part that is refused leaves the reading of the next one under way.
    await Promise.allSettled([next]);
  }
  return out;
}

async function readFully(
  handle: FileHandle,
  values: ArrayBufferView,
  position: number,
  path: string,
): Promise<void> {
  const into = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let done = 0; done < into.length; ) {
    const length = Math.min(into.length - done, MAX_READ_BYTES);
    const { bytesRead } = await handle.read(into, done, length, position + done);
    if (bytesRead === 0)
      throw inputError(`${printable(path)} became shorter while read.`, { code: 'bad-safetensors' });
    done += bytesRead;
  }
}

/**
 * Writes tensors under a temporary name and renames. The bytes depend on the content alone, not on the order of
 * the map: wide dtypes first (so that all stay aligned), then by name.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = [...tensors].sort(
    ([a, { dtype: x }], [b, { dtype: y }]) => DTYPE_BYTES[y] - DTYPE_BYTES[x] || (a < b ? -1 : 1),
  );
  const header: [string, unknown][] = Object.keys(metadata).length ? [['__metadata__', metadata]] : [];
  let end = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    const size = shape.reduce((product, length) => product * length, 1);
    if (size !== data.length || name === '__metadata__') {
      throw new Error(`tensor ${name} [${shape.join(', ')}] cannot be written from ${data.length} values`);
    }
    const start = end;
    end += size * DTYPE_BYTES[dtype];
    header.push([name, { dtype, shape, data_offsets: [start, end] }]);
  }
  // Object.fromEntries defines properties, so that a tensor called "__proto__" is one like any other.
  const text = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const padded = Buffer.alloc(Math.ceil(text.length / 8) * 8, ' ');
  text.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  await writeStreamAtomic(path, async (handle) => {
    await handle.writeFile(Buffer.concat([length, padded]));
    for (const [, tensor] of sorted) {
      for (const { buffer, byteOffset, byteLength } of stored(tensor)) {
        // Node splits what the system cannot write at once.
        await handle.writeFile(new Uint8Array(buffer, byteOffset, byteLength));
      }
    }
  });
}

/** The values as they are stored; halves a chunk at a time, so that no second copy is in memory. */
function* stored({ dtype, data }: TensorToWrite): Generator<Values> {
  const isHalf = dtype === 'BF16' || dtype === 'F16';
  if (!(data instanceof (isHalf ? Float32Array : ARRAYS[dtype]))) {
    throw new Error(`${dtype} is not written from ${data.constructor.name}`);
  }
  if (!isHalf) {
    yield data;
    return;
  }
  const convert = dtype === 'BF16' ? bfloat16FromFloat32 : float16FromFloat32;
  const length = HALF_CHUNK_BYTES / 2;
  for (let i = 0; i < data.length; i += length) yield convert((data as Float32Array).subarray(i, i + length));
}
