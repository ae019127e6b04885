import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { inputError, type SparselawError } from '../errors.js';
import { removeStaleTemporaries, temporaryPath } from './atomic.js';
import { pathExists } from './exists.js';
import { withFile } from './file-error.js';
import { printable } from './printable.js';

const holderSchema = z.object({
  id: z.string(),
  pid: z.int(),
  host: z.string(),
  /** Tells a reboot and a reused process id from the process that took the lock; null where unknown. */
  boot: z.string().nullable(),
  processStart: z.string().nullable(),
});
type Holder = z.infer<typeof holderSchema>;

/** A holder on another host shows that it lives by touching the lock. */
const HEARTBEAT_MS = 15_000;
/** Twenty missed heartbeats: longer than any step or save that blocks the process should take. */
const SILENT_MS = 20 * HEARTBEAT_MS;

const readOrNull = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

/** Linux tells when a process began, in ticks since boot: field 22, after the parenthesised name. */
const processStart = (pid: number): string | null =>
  readOrNull(`/proc/${pid}/stat`)?.split(') ').at(-1)?.split(' ')[19] ?? null;
const bootId = (): string | null => readOrNull('/proc/sys/kernel/random/boot_id')?.trim() ?? null;

function isAlive(holder: Holder, mtimeMs: number): boolean {
  if (holder.host !== hostname()) return Date.now() - mtimeMs < SILENT_MS;
  if (holder.boot !== null && holder.boot !== bootId()) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return holder.processStart === null || holder.processStart === processStart(holder.pid);
}

/** Who holds a lock: a process and its machine. */
export type LockHolder = Pick<Holder, 'pid' | 'host'>;

export interface Lock {
  /** @throws SparselawError (status 3) when another process took the lock over (it thought us dead) */
  check(): Promise<void>;
  release(): Promise<void>;
}

export interface LockWords {
  /** What the lock guards, as messages name it. */
  what: string;
  /** The error of one who finds the lock held. */
  held(holder: LockHolder): SparselawError;
}

/**
 * Takes a lock, so that two processes cannot do one thing at the same time. It is a file that names its holder;
 * a holder that crashed is recognised and its lock taken over, a living one never loses it.
 * @throws SparselawError: `words.held` when another process holds it; status 3 when it cannot be written
 */
export async function takeLock(path: string, words: LockWords): Promise<Lock> {
  const mine: Holder = {
    id: randomUUID(),
    pid: process.pid,
    host: hostname(),
    boot: bootId(),
    processStart: processStart(process.pid),
  };
  await withFile('write', path, () => takeAs(path, mine, words));
  await removeStale(path);
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, HEARTBEAT_MS).unref();
  return {
    async check() {
      if ((await holderOf(path))?.holder.id !== mine.id) {
        throw inputError(`${printable(words.what)}: another process took it over.`, { code: 'lock-lost' });
      }
    },
    async release() {
      clearInterval(heartbeat);
      if ((await holderOf(path))?.holder.id !== mine.id) return;
      await withFile('write', path, () => rm(path, { force: true }));
    },
  };
}

async function takeAs(path: string, mine: Holder, words: LockWords): Promise<void> {
  // Killed while it is written it holds no holder yet: its name says whose it is.
  const own = temporaryPath(path);
  await writeFile(own, `${JSON.stringify(mine)}\n`, { flag: 'wx' });
  try {
    await take(path, mine, own, words);
  } finally {
    await rm(own, { force: true });
  }
}

/**
 * Gives a name to the file `own`. A link appears whole and fails where the name is taken, also on network file
 * systems. A dead holder's file is replaced under a guard, itself such a lock, whose name only those who saw
 * this very holder dead compete for: of many contenders one replaces, and nobody removes what a living one holds.
 */
async function take(path: string, mine: Holder, own: string, words: LockWords): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      await link(own, path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const found = await holderOf(path);
    if (!found) continue;
    if (isAlive(found.holder, found.mtimeMs)) throw words.held(found.holder);
    const guard = `${path}.after-${found.holder.id.slice(0, 8)}`;
    await take(guard, mine, own, words);
    try {
      if ((await holderOf(path))?.holder.id !== found.holder.id) continue;
      const replacement = temporaryPath(path);
      await link(own, replacement);
      await rename(replacement, path);
      return;
    } finally {
      await rm(guard, { force: true });
    }
  }
  throw new Error(`the lock ${path} changed hands ten times`);
}

/** Removes what processes that died while they took the lock left beside it. */
async function removeStale(path: string): Promise<void> {
  await removeStaleTemporaries(path);
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(`${basename(path)}.`)) continue;
    const beside = join(dirname(path), name);
    const found = await holderOf(beside).catch(() => undefined);
    if (found && !isAlive(found.holder, found.mtimeMs)) await rm(beside, { force: true });
  }
}

async function holderOf(path: string): Promise<{ holder: Holder; mtimeMs: number } | undefined> {
  try {
    const [text, { mtimeMs }] = [await readFile(path, 'utf8'), await stat(path)];
    return { holder: holderSchema.parse(JSON.parse(text)), mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (error instanceof SyntaxError || error instanceof z.ZodError) {
      throw inputError(`${printable(path)} is not a lock of sparselaw.`, {
        code: 'bad-lock',
        suggestions: [`Remove ${printable(path)} if no process uses it.`],
      });
    }
    throw error;
  }
}

/** Removes a lock whose holder died with it, where there is one: who holds it alive keeps it. */
export async function clearDeadLock(path: string): Promise<void> {
  if (!(await pathExists(path)) || (await lockHolder(path))) return;
  const held = inputError(`${printable(path)} is held.`, { code: 'locked' });
  const lock = await takeLock(path, { what: path, held: () => held }).catch((error) => {
    if (error !== held) throw error;
  });
  await lock?.release();
}

/** The living holder of a lock; undefined where it is free, or its holder dead. */
export async function lockHolder(path: string): Promise<LockHolder | undefined> {
  const found = await withFile('read', path, () => holderOf(path));
  return found && isAlive(found.holder, found.mtimeMs) ? found.holder : undefined;
}
