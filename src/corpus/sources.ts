import { spawn } from 'node:child_process';
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { inputError } from '../errors.js';
import { fileError, withFile } from '../io/file-error.js';
import { printable } from '../io/printable.js';

export interface SourceOptions {
  /** A compressed file may unpack to at most this many times its size (a bomb unpacks to 1,000 and more). */
  maxExpansion: number;
  /** Called with each number of bytes read from the file itself. */
  onRead?: (bytes: number) => void;
}

/** Small files of much repetition may unpack to this in any case. */
const FREE_EXPANSION_BYTES = 2 ** 26;
/** `xz -9` needs 65 MiB; a stranger's file may not ask for more than this. */
const XZ_MEMORY = '512MiB';

/** How a file is packed and what it holds, by its name. */
export function kindOf(path: string): { packing: 'none' | 'gz' | 'xz'; isJsonl: boolean } {
  const match = /^(.*?)(?:\.(gz|xz))?$/i.exec(path)!;
  const packing = (match[2]?.toLowerCase() ?? 'none') as 'none' | 'gz' | 'xz';
  return { packing, isJsonl: /\.(jsonl|ndjson)$/i.test(match[1]!) };
}

/** The size of a regular file. @throws SparselawError (status 3) for what is none */
export async function sourceSize(path: string): Promise<number> {
  const info = await withFile('read', path, () => stat(path));
  if (info.isFile()) return info.size;
  const what = info.isDirectory() ? 'a folder' : 'no regular file';
  throw inputError(`Cannot read ${printable(path)}: it is ${what}.`, {
    code: 'not-a-file',
    suggestions: ['Text is read more than once; give files.'],
  });
}

/** The bytes of one source, unpacked, and when they are all read the SHA-256 of the file as it is. */
export async function* readSource(path: string, options: SourceOptions): AsyncGenerator<Buffer, string> {
  const size = await sourceSize(path);
  const hash = createHash('sha256');
  const { packing } = kindOf(path);
  const limit = Math.max(FREE_EXPANSION_BYTES, options.maxExpansion * size);
  let unpacked = 0;
  try {
    for await (const chunk of unpack(packing, rawBytes(path, hash, options), path)) {
      unpacked += chunk.length;
      if (packing !== 'none' && unpacked > limit) throw tooLarge(path, options.maxExpansion);
      yield chunk;
    }
  } catch (error) {
    throw unpackingError(error, packing, path);
  }
  return hash.digest('hex');
}

const tooLarge = (path: string, factor: number) =>
  inputError(`${printable(path)} unpacks to more than ${factor} times its size.`, {
    code: 'expands-too-much',
    suggestions: ['If that is meant, raise --max-expansion.'],
  });

async function* rawBytes(path: string, hash: Hash, { onRead }: SourceOptions): AsyncGenerator<Buffer> {
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 18 })) {
    const bytes = chunk as Buffer;
    hash.update(bytes);
    onRead?.(bytes.length);
    yield bytes;
  }
}

function unpack(
  packing: 'none' | 'gz' | 'xz',
  raw: AsyncGenerator<Buffer>,
  path: string,
): AsyncIterable<Buffer> {
  if (packing === 'none') return raw;
  return packing === 'gz' ? gunzip(raw) : xzcat(raw, path);
}

async function* gunzip(raw: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const gunzipped = createGunzip({ chunkSize: 2 ** 18 });
  const feeding = pipeline(Readable.from(raw), gunzipped);
  feeding.catch(() => undefined);
  yield* gunzipped as AsyncIterable<Buffer>;
  await feeding;
}

async function* xzcat(raw: AsyncGenerator<Buffer>, path: string): AsyncGenerator<Buffer> {
  const child = spawn('xz', ['--decompress', '--stdout', `--memlimit-decompress=${XZ_MEMORY}`], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Of its own group, so that Ctrl-C in a terminal reaches it through us alone.
    detached: process.platform !== 'win32',
  });
  const ended = new Promise<void>((resolve, reject) => {
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(0, 400);
    });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(xzFailed(path, complaint))));
  });
  ended.catch(() => undefined);
  // What fails on the way in (xz has given up) shows in its exit status.
  const feeding = pipeline(Readable.from(raw), child.stdin);
  const fed = feeding.then(
    () => undefined,
    (error: unknown) => error,
  );
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    await ended;
    const failure = await fed;
    if (failure) throw failure;
  } finally {
    child.kill('SIGKILL');
  }
}

function xzFailed(path: string, complaint: string): Error {
  const reason = complaint.trim().replace(/^xz: (\(stdin\): )?/, '');
  return inputError(`${printable(path)} is not a whole xz file: ${printable(reason || 'xz failed')}.`, {
    code: 'bad-compression',
  });
}

function unpackingError(error: unknown, packing: string, path: string): unknown {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (packing === 'xz' && syscall?.startsWith('spawn')) {
    return inputError(`Cannot unpack ${printable(path)}: the program xz is not installed.`, {
      code: 'no-xz',
      suggestions: ['Install it (Debian and Ubuntu: `apt install xz-utils`), or unpack the file elsewhere.'],
      cause: error,
    });
  }
  if (packing === 'gz' && code?.startsWith('Z_')) {
    return inputError(`${printable(path)} is not a whole gzip file: ${message}.`, {
      code: 'bad-compression',
      cause: error,
    });
  }
  return fileError(error, 'read', path);
}
