import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { inputError } from '../errors.js';
import { fileError, withFile } from './file-error.js';
import { makeFolder } from './make-folder.js';
import { printable } from './printable.js';

/** Host names may hold characters and lengths that file names cannot. */
const HOST =
  hostname()
    .replace(/[^A-Za-z0-9-]/g, '')
    .slice(0, 32) || 'host';

const temporaryPrefix = (target: string) => `.${basename(target)}.tmp-${HOST}-`;

/** A name beside the target (so that a rename stays on one file system) that tells whose it is. */
export function temporaryPath(target: string): string {
  return join(dirname(target), `${temporaryPrefix(target)}${process.pid}-${randomBytes(4).toString('hex')}`);
}

/**
 * Removes what killed processes of this host left beside a target. Those of living processes stay; our own
 * process id may be a reused one, so what is older than this process is not ours.
 */
export async function removeStaleTemporaries(target: string): Promise<void> {
  const folder = dirname(target);
  const prefix = temporaryPrefix(target);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number.parseInt(name.slice(prefix.length), 10);
    const path = join(folder, name);
    if (await isStale(pid, path)) await rm(path, { recursive: true, force: true });
  }
}

async function isStale(pid: number, path: string): Promise<boolean> {
  if (pid === process.pid) {
    const startedAt = Date.now() - process.uptime() * 1000;
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    return mtimeMs < startedAt;
  }
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Makes a rename or a new name durable. Some file systems refuse to sync a folder: the data is safe then too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  try {
    await handle?.sync().catch(() => undefined);
  } finally {
    await handle?.close();
  }
}

/**
 * Writes a file so that its name holds the old content or the new, never a part: `fill` writes to a temporary
 * name beside it, which is synced, then renamed. The parent folder is made. On failure nothing is left.
 * @throws SparselawError (status 3) naming the target when the disk is full, read-only or not ours to write
 */
export async function writeStreamAtomic(
  path: string,
  fill: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const target = resolve(path);
  const temporary = temporaryPath(target);
  await withFile('write', path, async () => {
    await makeFolder(dirname(target));
    await removeStaleTemporaries(target);
    try {
      const handle = await open(temporary, 'wx');
      try {
        await fill(handle);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
    await syncFolder(dirname(target));
  });
}

/** `writeStreamAtomic` for content that is in memory. */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await writeStreamAtomic(path, async (handle) => {
    await handle.writeFile(data);
  });
}

export interface FolderOptions {
  /** Replace a folder that is there already; without it a non-empty target is refused. */
  replace?: boolean;
}

/**
 * Makes a folder in one step: `fill` writes into a temporary folder beside the target, every file of it is
 * synced, and the folder is renamed. When `fill` throws, the temporary folder is removed and the error passed on.
 * @throws SparselawError (status 3) when the target exists (without `replace`) or cannot be written
 */
export async function writeFolderAtomic(
  path: string,
  fill: (temporary: string) => Promise<void>,
  options: FolderOptions = {},
): Promise<void> {
  const target = resolve(path);
  const temporary = temporaryPath(target);
  await withFile('write', path, async () => {
    await makeFolder(dirname(target));
    await removeStaleTemporaries(target);
    if (!options.replace && (await isOccupied(target))) throw folderExists(path);
    try {
      await mkdir(temporary);
      await fill(temporary);
      await syncTree(temporary);
      await moveInto(temporary, target, options.replace ?? false);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
      const code = (error as NodeJS.ErrnoException).code;
      throw code === 'ENOTEMPTY' || code === 'EEXIST' ? folderExists(path) : fileError(error, 'write', path);
    }
    await syncFolder(dirname(target));
  });
}

const folderExists = (path: string) =>
  inputError(`${printable(path)} exists already.`, {
    code: 'exists',
    suggestions: ['Choose another name, or remove it first.'],
  });

async function isOccupied(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** A rename cannot replace a folder with content: the old one steps aside first and is removed last. */
async function moveInto(temporary: string, target: string, replace: boolean): Promise<void> {
  if (!replace || !(await isOccupied(target))) return rename(temporary, target);
  const old = temporaryPath(target);
  await rename(target, old);
  try {
    await rename(temporary, target);
  } catch (error) {
    await rename(old, target);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) {
      const handle = await open(path, 'r+');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
  }
  await syncFolder(folder);
}
