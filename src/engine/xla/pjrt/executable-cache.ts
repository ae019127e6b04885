import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { arch, cpus } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '../../../io/atomic.js';
import { sha256 } from '../../../io/hash.js';
import { makeFolder } from '../../../io/make-folder.js';
import { cacheFolder } from '../../install/cache-folder.js';

/** Programs of a few models and sizes; the least recently used go first. */
const MOST_BYTES = 2 ** 30;
const SUFFIX = '.xla';
const DIGEST_BYTES = 32;

const folder = () => join(cacheFolder(), 'programs');
const pathOf = (key: string) => join(folder(), `${key}${SUFFIX}`);
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

let processor: string | undefined;

/** The processor's model and instruction sets: code compiled for one may not run on another that shares a home. */
function processorKey(): string {
  if (processor === undefined) {
    const flags = existsSync('/proc/cpuinfo')
      ? /^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0]
      : '';
    processor = sha256(`${arch()} ${cpus()[0]?.model} ${flags}`);
  }
  return processor;
}

/** Names the executable that a program becomes: equal keys mean equal code. */
export function cacheKeyOf(text: string, options: Uint8Array, runtime: readonly string[]): string {
  return sha256(
    JSON.stringify([sha256(text), Buffer.from(options).toString('hex'), processorKey(), ...runtime]),
  );
}

/** An executable kept earlier; undefined when there is none or its bytes are not those written. */
export async function readCached(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const path = pathOf(key);
  try {
    const file = await readFile(path);
    const bytes = new Uint8Array(file.subarray(DIGEST_BYTES));
    if (!digest(bytes).equals(file.subarray(0, DIGEST_BYTES))) {
      await rm(path, { force: true });
      return undefined;
    }
    const now = new Date();
    await utimes(path, now, now).catch(() => {});
    return bytes;
  } catch {
    return undefined;
  }
}

async function evict(): Promise<void> {
  const names = (await readdir(folder())).filter((name) => name.endsWith(SUFFIX));
  const files = await Promise.all(
    names.map(async (name) => {
      const path = join(folder(), name);
      const { size, mtimeMs } = await stat(path);
      return { path, size, mtimeMs };
    }),
  );
  let total = files.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of files.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
    if (total <= MOST_BYTES) return;
    await rm(path, { force: true });
    total -= size;
  }
}

/**
 * Keeps an executable for the next process. A cache only saves time: where it cannot be written (a plugin that
 * cannot serialise, a read-only or full disk) the program runs all the same.
 */
export async function writeCached(key: string, serialize: () => Uint8Array): Promise<void> {
  try {
    const bytes = serialize();
    await makeFolder(folder());
    await writeFileAtomic(pathOf(key), Buffer.concat([digest(bytes), bytes]));
    await evict();
  } catch {
    // See above.
  }
}
