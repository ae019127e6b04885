import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { inputError } from '../errors.js';
import { fileError, withFile } from './file-error.js';
import { printable } from './printable.js';

/*
 * A token shard, little-endian:
 *   0  8 bytes  magic `SPLTOKEN`
 *   8  uint32   version, 1
 *  12  uint32   bytes per token, 2 or 4
 *  16  uint64   token count
 *  24  uint32   vocabulary size: every id is below it
 *  28  uint32   zero
 *  32  32 bytes SHA-256 of the tokens followed by bytes 0 to 31
 *  64  tokens
 */
const MAGIC = Buffer.from('SPLTOKEN', 'latin1');
const VERSION = 1;
const HEADER_BYTES = 64;
const HASHED_HEADER_BYTES = 32;
/** Read and checked a piece at a time. */
const CHECK_CHUNK_BYTES = 2 ** 20;

export interface ShardHeader {
  bytesPerToken: 2 | 4;
  count: number;
  vocabSize: number;
  sha256: string;
}

/** The narrowest unsigned integers that hold every id of a vocabulary. */
export const bytesPerToken = (vocabSize: number): 2 | 4 => (vocabSize <= 2 ** 16 ? 2 : 4);

function headerStart(count: number, vocabSize: number): Buffer {
  const header = Buffer.alloc(HASHED_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, 8);
  header.writeUInt32LE(bytesPerToken(vocabSize), 12);
  header.writeBigUInt64LE(BigInt(count), 16);
  header.writeUInt32LE(vocabSize, 24);
  return header;
}

export interface ShardWriter {
  readonly count: number;
  /** @throws Error for an id outside the vocabulary */
  append(ids: Uint32Array): Promise<void>;
  /** Writes the header and closes the file. */
  finish(): Promise<ShardHeader>;
  /** Closes the file as it is: a shard without header, which no reader takes. */
  abandon(): Promise<void>;
}

/** Starts a new shard; until `finish` the file has no header. */
export async function createShard(path: string, vocabSize: number): Promise<ShardWriter> {
  const handle = await withFile('write', path, () => open(path, 'wx'));
  const hash = createHash('sha256');
  const width = bytesPerToken(vocabSize);
  let count = 0;
  return {
    get count() {
      return count;
    },
    async append(ids) {
      const outside = ids.find((id) => id >= vocabSize);
      if (outside !== undefined) throw new Error(`id ${outside} is outside the vocabulary of ${vocabSize}`);
      const values = width === 2 ? Uint16Array.from(ids) : ids;
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      hash.update(bytes);
      await withFile('write', path, () => writeFully(handle, bytes, HEADER_BYTES + count * width));
      count += ids.length;
    },
    async finish() {
      const header = headerStart(count, vocabSize);
      const digest = hash.update(header).digest();
      await withFile('write', path, async () => {
        await writeFully(handle, Buffer.concat([header, digest]), 0);
        await handle.close();
      });
      return { bytesPerToken: width, count, vocabSize, sha256: digest.toString('hex') };
    },
    abandon: () => handle.close(),
  };
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

export interface TokenShard extends ShardHeader {
  /** Copies ids [start, start + into.length) of the shard. */
  read(start: number, into: Int32Array): void;
  close(): void;
}

/**
 * Opens a shard and checks all of it: magic, version, size, SHA-256 and that every id is in the vocabulary.
 * @throws SparselawError (status 3) naming the file and what is wrong
 */
export function openShard(path: string): TokenShard {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    throw fileError(error, 'read', path);
  }
  try {
    const header = checkShard(descriptor, path);
    return {
      ...header,
      read: (start, into) => readIds(descriptor, header, start, into, path),
      close: () => closeSync(descriptor),
    };
  } catch (error) {
    closeSync(descriptor);
    throw fileError(error, 'read', path);
  }
}

function checkShard(descriptor: number, path: string): ShardHeader {
  const refuse = (what: string) =>
    inputError(`${printable(path)} is not a whole token shard: ${what}.`, {
      code: 'bad-shard',
      suggestions: ['Build the corpus again with `sparselaw corpus build`.'],
    });
  const header = Buffer.alloc(HEADER_BYTES);
  if (readSync(descriptor, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) throw refuse('its header is cut off');
  if (!header.subarray(0, 8).equals(MAGIC)) throw refuse('it does not begin with the magic bytes');
  const version = header.readUInt32LE(8);
  if (version !== VERSION) throw refuse(`its version is ${version}, this program reads ${VERSION}`);
  const count = Number(header.readBigUInt64LE(16));
  const vocabSize = header.readUInt32LE(24);
  const width = header.readUInt32LE(12);
  if (width !== bytesPerToken(vocabSize))
    throw refuse(`it claims ${width} bytes a token for ${vocabSize} ids`);

  const hash = createHash('sha256');
  const chunk = Buffer.alloc(CHECK_CHUNK_BYTES);
  let position = HEADER_BYTES;
  let largest = 0;
  for (;;) {
    // A short read is possible at the end only: what is there in a file comes whole.
    const bytes = readSync(descriptor, chunk, 0, CHECK_CHUNK_BYTES, position);
    if (bytes === 0) break;
    hash.update(chunk.subarray(0, bytes));
    const ids =
      width === 2
        ? new Uint16Array(chunk.buffer, chunk.byteOffset, bytes >> 1)
        : new Uint32Array(chunk.buffer, chunk.byteOffset, bytes >> 2);
    for (const id of ids) if (id > largest) largest = id;
    position += bytes;
  }
  const held = (position - HEADER_BYTES) / width;
  if (held !== count) throw refuse(`its header claims ${count} tokens, the file holds ${held}`);
  const sha256 = header.toString('hex', HASHED_HEADER_BYTES, HEADER_BYTES);
  hash.update(header.subarray(0, HASHED_HEADER_BYTES));
  if (hash.digest('hex') !== sha256) throw refuse('its bytes do not match their SHA-256');
  if (count > 0 && largest >= vocabSize) {
    throw refuse(`it holds the id ${largest}, beyond its vocabulary of ${vocabSize}`);
  }
  return { bytesPerToken: width as 2 | 4, count, vocabSize, sha256 };
}

function readIds(
  descriptor: number,
  header: ShardHeader,
  start: number,
  into: Int32Array,
  path: string,
): void {
  if (start < 0 || start + into.length > header.count) {
    throw new RangeError(`tokens [${start}, ${start + into.length}) of ${header.count} in ${path}`);
  }
  const values = header.bytesPerToken === 2 ? new Uint16Array(into.length) : into;
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let done = 0; done < bytes.length; ) {
    const position = HEADER_BYTES + start * header.bytesPerToken + done;
    const read = readSync(descriptor, bytes, done, bytes.length - done, position);
    if (read === 0) throw inputError(`${printable(path)} became shorter while read.`, { code: 'bad-shard' });
    done += read;
  }
  if (values !== into) into.set(values);
}
