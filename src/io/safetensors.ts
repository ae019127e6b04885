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

/** A tensor on the host, row-major, in an ArrayBuffer of its own. */
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

/** Linux reads at most 2^31 − 4096 bytes at once; the conversion of halves needs far less. */
const MAX_READ_BYTES = 2 ** 30;
const HALF_CHUNK_BYTES = 2 ** 24;

/** The checked header of a file. @throws SparselawError (status 3) naming file and tensor */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  return withOpen(path, (handle) => readHeader(handle, path));
}

/**
 * Reads tensors one after another, in file order, so that a large file needs the memory of its largest tensor.
 * @param names only these; one that is missing is an error (status 3)
 */
export async function* eachTensor(
  path: string,
  names?: Iterable<string>,
): AsyncGenerator<[string, HostTensorF]> {
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
      const data = await withFile('read', path, () => readData(handle, entry, path, name));
      yield [name, { dtype: entry.dtype, shape: entry.shape, data }];
    }
  } finally {
    await handle.close();
  }
}

/** Reads tensors, all or those named. @throws SparselawError (status 3) naming file and tensor */
export async function readTensors(path: string, names?: Iterable<string>): Promise<Map<string, HostTensorF>> {
  const tensors = new Map<string, HostTensorF>();
  for await (const [name, tensor] of eachTensor(path, names)) tensors.set(name, tensor);
  return tensors;
}

/** `eachTensor` for weights. @throws SparselawError (status 3) when a tensor is not F32, BF16 or F16 */
export async function* eachFloatTensor(
  path: string,
  names?: Iterable<string>,
): AsyncGenerator<[string, HostTensorF<Float32Array>]> {
  for await (const [name, { dtype, shape, data }] of eachTensor(path, names)) {
    if (!(data instanceof Float32Array)) throw unreadable(path, name, dtype, 'float32, bfloat16 or float16');
    yield [name, { dtype, shape, data }];
  }
}

/** `readTensors` for weights. @throws SparselawError (status 3) when a tensor is not F32, BF16 or F16 */
export async function readFloatTensors(
  path: string,
  names?: Iterable<string>,
): Promise<Map<string, HostTensorF<Float32Array>>> {
  const tensors = new Map<string, HostTensorF<Float32Array>>();
  for await (const [name, tensor] of eachFloatTensor(path, names)) tensors.set(name, tensor);
  return tensors;
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
  try {
    if (dtype === 'BF16' || dtype === 'F16') return await readHalves(handle, entry, path);
    const buffer = new ArrayBuffer(bytes);
    await readFully(handle, new Uint8Array(buffer), start, path);
    return new ARRAYS[dtype](buffer);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw inputError(
      `${printable(path)}: tensor "${printable(name)}" of ${bytes} bytes does not fit into memory.`,
      {
        code: 'tensor-too-large',
        cause: error,
      },
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

/** Halves as float32; while one chunk is converted the next is read. */
async function readHalves(handle: FileHandle, entry: TensorEntry, path: string): Promise<Float32Array> {
  const out = new Float32Array(entry.bytes / 2);
  const convert = entry.dtype === 'BF16' ? float32FromBfloat16 : float32FromFloat16;
  const length = Math.min(entry.bytes, HALF_CHUNK_BYTES) / 2;
  const chunks = [new Uint16Array(length), new Uint16Array(length)];
  const read = async (done: number) => {
    const part = chunks[(done / length) & 1]!.subarray(0, out.length - done);
    await readFully(handle, new Uint8Array(part.buffer, 0, part.byteLength), entry.start + 2 * done, path);
    return part;
  };
  let next = out.length > 0 ? read(0) : undefined;
  for (let done = 0; next; done += length) {
    const part = await next;
    next = done + length < out.length ? read(done + length) : undefined;
    convert(part, out.subarray(done, done + part.length));
  }
  return out;
}

async function readFully(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
  path: string,
): Promise<void> {
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
