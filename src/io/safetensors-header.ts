import type { FileHandle } from 'node:fs/promises';
import { inputError } from '../errors.js';
import { parseJson } from './json.js';
import { scanJson } from './json-scan.js';
import { printable } from './printable.js';
import { decodeUtf8 } from './utf8.js';

/** Bytes per element of each dtype the format names. */
export const DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;
export type SafetensorsDtype = keyof typeof DTYPE_BYTES;

export interface TensorEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  /** First byte in the file. */
  start: number;
  bytes: number;
}

export interface SafetensorsHeader {
  /** In file order. */
  tensors: Map<string, TensorEntry>;
  metadata: Map<string, string>;
}

/** The cap of the format's reference reader. */
const MAX_HEADER_BYTES = 100_000_000;
/** numpy's limit is 64; no tensor needs more. */
const MAX_RANK = 64;
/** About ten values a tensor: room for 400,000 tensors in a file. */
const MAX_HEADER_VALUES = 4_000_000;

/**
 * Reads and checks a header: every tensor's dtype and shape must agree with its bytes, and the tensors must
 * cover the data exactly, without gap or overlap.
 * @throws SparselawError (status 3) naming file and tensor
 */
export async function readHeader(handle: FileHandle, path: string): Promise<SafetensorsHeader> {
  const refuse = (what: string) =>
    inputError(`${printable(path)} is not a whole safetensors file: ${what}.`, { code: 'bad-safetensors' });
  const { size } = await handle.stat();
  if (size < 8) throw refuse(`it has ${size} bytes`);
  const lengthBytes = Buffer.alloc(8);
  await handle.read(lengthBytes, 0, 8, 0);
  const length = Number(lengthBytes.readBigUInt64LE());
  if (length > MAX_HEADER_BYTES) throw refuse(`its header claims ${length} bytes`);
  if (8 + length > size) throw refuse(`its header claims ${length} bytes, the file has ${size}`);
  const bytes = Buffer.alloc(length);
  await handle.read(bytes, 0, length, 8);
  const text = decodeUtf8(bytes, path);
  const problem = scanJson(text, { maxDepth: 3, maxValues: MAX_HEADER_VALUES });
  if (problem) throw refuse(`its header ${problem}`);
  const json = parseJson(text, `${path} (header)`);
  if (!isObject(json)) throw refuse('its header is not an object');

  const header: SafetensorsHeader = { tensors: new Map(), metadata: new Map() };
  const dataStart = 8 + length;
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') header.metadata = checkMetadata(value, refuse);
    else {
      const entry = checkEntry(value, (what) => refuse(`tensor "${printable(name)}" ${what}`));
      header.tensors.set(name, { ...entry, start: entry.start + dataStart });
    }
  }
  return { ...header, tensors: checkCover(header.tensors, dataStart, size, refuse) };
}

type Refuse = (what: string) => Error;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function checkMetadata(value: unknown, refuse: Refuse): Map<string, string> {
  if (!isObject(value) || !Object.values(value).every((item) => typeof item === 'string')) {
    throw refuse('its metadata is not an object of strings');
  }
  return new Map(Object.entries(value as Record<string, string>));
}

function checkEntry(value: unknown, refuse: Refuse): TensorEntry {
  if (!isObject(value)) throw refuse('is not described by an object');
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw refuse(`has the unknown dtype ${printable(JSON.stringify(dtype) ?? 'none', 40)}`);
  }
  if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every(isCount)) {
    throw refuse('has a shape that is no list of sizes');
  }
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every(isCount) ||
    offsets[0]! > offsets[1]!
  ) {
    throw refuse('has data offsets that are no range');
  }
  const known = dtype as SafetensorsDtype;
  // A product beyond 2^53 is inexact, and unequal to any range of a file.
  const expected = (shape as number[]).reduce((product, size) => product * size, DTYPE_BYTES[known]);
  const [start, end] = offsets as [number, number];
  if (expected !== end - start) {
    throw refuse(`of ${dtype} [${shape.join(', ')}] needs ${expected} bytes and is given ${end - start}`);
  }
  return { dtype: known, shape: shape as number[], start, bytes: end - start };
}

function checkCover(tensors: Map<string, TensorEntry>, start: number, end: number, refuse: Refuse) {
  const sorted = [...tensors].sort(([, a], [, b]) => a.start - b.start || a.bytes - b.bytes);
  let position = start;
  for (const [name, tensor] of sorted) {
    if (tensor.start + tensor.bytes > end) {
      throw refuse(
        `tensor "${printable(name)}" ends ${tensor.start + tensor.bytes - end} bytes after the file`,
      );
    }
    if (tensor.start !== position) {
      const how = tensor.start < position ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw refuse(`tensor "${printable(name)}" ${how}`);
    }
    position += tensor.bytes;
  }
  if (position !== end) throw refuse(`${end - position} bytes after the last tensor belong to none`);
  return new Map(sorted);
}
