import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import { engineError } from '../../errors.js';
import { makeFolder } from '../../io/make-folder.js';

/** Signatures and field offsets of the zip format (APPNOTE.TXT 4.3), which wheels are. */
const END = { signature: 0x06054b50, size: 22, entries: 10, directorySize: 12, directoryAt: 16 } as const;
const ENTRY = {
  signature: 0x02014b50,
  size: 46,
  method: 10,
  packedSize: 20,
  unpackedSize: 24,
  nameLength: 28,
  extraLength: 30,
  commentLength: 32,
  attributes: 38,
  localAt: 42,
} as const;
const LOCAL = { signature: 0x04034b50, size: 30, nameLength: 26, extraLength: 28 } as const;
const LONGEST_COMMENT = 0xffff;
const STORED = 0;
const DEFLATED = 8;
/** Sizes and offsets with this value are kept elsewhere (zip64): no wheel of ours is that large. */
const ZIP64 = 0xffffffff;

/** Room that every file may take, and what it may beyond that: libraries pack to a quarter, text to a tenth. */
const ROOM = 64 * 2 ** 20;
const MOST_EXPANSION = 200;

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly packedSize: number;
  readonly unpackedSize: number;
  readonly localAt: number;
  readonly executable: boolean;
}

const badWheel = (path: string, why: string) =>
  engineError(`${path} is no wheel that can be unpacked: ${why}.`, { code: 'bad-wheel' });

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  return bytes.subarray(0, bytesRead);
}

async function readDirectory(file: FileHandle, path: string): Promise<Entry[]> {
  const { size } = await file.stat();
  const tailLength = Math.min(size, END.size + LONGEST_COMMENT);
  const tail = await readAt(file, size - tailLength, tailLength);
  let at = tail.length - END.size;
  while (at >= 0 && tail.readUInt32LE(at) !== END.signature) at--;
  if (at < 0) throw badWheel(path, 'it has no zip directory');
  const count = tail.readUInt16LE(at + END.entries);
  const directoryAt = tail.readUInt32LE(at + END.directoryAt);
  const directorySize = tail.readUInt32LE(at + END.directorySize);
  if (directoryAt + directorySize > size) throw badWheel(path, 'its directory lies outside of it');
  const directory = await readAt(file, directoryAt, directorySize);
  const entries: Entry[] = [];
  for (let position = 0; entries.length < count; ) {
    if (position + ENTRY.size > directory.length || directory.readUInt32LE(position) !== ENTRY.signature) {
      throw badWheel(path, 'its directory is damaged');
    }
    const field = (offset: number) => directory.readUInt32LE(position + offset);
    const short = (offset: number) => directory.readUInt16LE(position + offset);
    const nameLength = short(ENTRY.nameLength);
    const nameAt = position + ENTRY.size;
    entries.push({
      name: directory.toString('utf8', nameAt, nameAt + nameLength),
      method: short(ENTRY.method),
      packedSize: field(ENTRY.packedSize),
      unpackedSize: field(ENTRY.unpackedSize),
      localAt: field(ENTRY.localAt),
      executable: (short(ENTRY.attributes + 2) & 0o111) !== 0,
    });
    position = nameAt + nameLength + short(ENTRY.extraLength) + short(ENTRY.commentLength);
  }
  return entries;
}

/** A path that stays below the folder it is unpacked into. */
const isSafe = (name: string) =>
  !name.startsWith('/') && !name.includes('\\') && !name.includes('\0') && !name.split('/').includes('..');

async function extract(file: FileHandle, path: string, entry: Entry, target: string): Promise<void> {
  const local = await readAt(file, entry.localAt, LOCAL.size);
  if (local.length < LOCAL.size || local.readUInt32LE(0) !== LOCAL.signature) {
    throw badWheel(path, `${entry.name} is not where its directory says`);
  }
  const start =
    entry.localAt + LOCAL.size + local.readUInt16LE(LOCAL.nameLength) + local.readUInt16LE(LOCAL.extraLength);
  await makeFolder(dirname(target));
  const packed =
    entry.packedSize === 0
      ? Readable.from([])
      : createReadStream(path, { fd: file.fd, start, end: start + entry.packedSize - 1, autoClose: false });
  const unpack = entry.method === DEFLATED ? createInflateRaw() : new PassThrough();
  const output = createWriteStream(target, { mode: entry.executable ? 0o755 : 0o644 });
  let written = 0;
  await pipeline(
    packed,
    unpack,
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        written += chunk.length;
        if (written > entry.unpackedSize) throw badWheel(path, `${entry.name} is larger than it declares`);
        yield chunk;
      }
    },
    output,
  );
  if (written !== entry.unpackedSize) throw badWheel(path, `${entry.name} is smaller than it declares`);
  if (entry.executable) await chmod(target, 0o755);
}

/**
 * Unpacks a wheel into a folder, without Python. The caller has checked its hash.
 * @param only beginnings of the paths that are taken; all without it
 * @throws SparselawError (status 4) when it is no zip file, or one that reaches outside of the folder
 */
export async function unpackWheel(
  path: string,
  folder: string,
  { signal, only }: { signal?: AbortSignal; only?: readonly string[] } = {},
): Promise<void> {
  const file = await open(path, 'r');
  try {
    for (const entry of await readDirectory(file, path)) {
      signal?.throwIfAborted();
      if (entry.name.endsWith('/')) continue;
      if (only && !only.some((beginning) => entry.name.startsWith(beginning))) continue;
      if (!isSafe(entry.name)) throw badWheel(path, `${JSON.stringify(entry.name)} leaves the folder`);
      if (entry.method !== STORED && entry.method !== DEFLATED) {
        throw badWheel(path, `${entry.name} is packed by method ${entry.method}`);
      }
      if ([entry.packedSize, entry.unpackedSize, entry.localAt].includes(ZIP64)) {
        throw badWheel(path, `${entry.name} is over 4 GB`);
      }
      if (entry.unpackedSize > ROOM && entry.unpackedSize > MOST_EXPANSION * entry.packedSize) {
        throw badWheel(path, `${entry.name} unpacks to more than ${MOST_EXPANSION} times its size`);
      }
      await extract(file, path, entry, join(folder, entry.name));
    }
  } finally {
    await file.close();
  }
}
