import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { inputError } from '../errors.js';
import { runPaths } from '../files/run.js';
import { withFile } from '../io/file-error.js';
import { printable } from '../io/printable.js';

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

export interface RunLock {
  /** @throws SparselawError (status 3) when another process took the lock over (it thought us dead) */
  check(): Promise<void>;
  release(): Promise<void>;
}

/**
 * Takes the lock of a run folder, so that two processes cannot train one run. It is a file that names its
 * holder; a holder that crashed is recognised and its lock taken over, a living one never loses it.
 * @throws SparselawError (status 3) when another process holds it
 */
export async function lockRun(run: string): Promise<RunLock> {
  const path = runPaths(run).lock;
  const mine: Holder = {
    id: randomUUID(),
    pid: process.pid,
    host: hostname(),
    boot: bootId(),
    processStart: processStart(process.pid),
  };
  await withFile('write', path, () => takeAs(run, path, mine));
  await removeStale(path);
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, HEARTBEAT_MS).unref();
  return {
    async check() {
      if ((await holderOf(path))?.holder.id !== mine.id) {
        throw inputError(`${printable(run)}: another process took this run over.`, { code: 'lock-lost' });
      }
    },
    async release() {
      clearInterval(heartbeat);
      if ((await holderOf(path))?.holder.id === mine.id) await rm(path, { force: true });
    },
  };
}

async function takeAs(run: string, path: string, mine: Holder): Promise<void> {
  const own = `${path}.${mine.id}`;
  await writeFile(own, `${JSON.stringify(mine)}\n`, { flag: 'wx' });
  try {
    await take(run, path, mine, own);
  } finally {
    await rm(own, { force: true });
  }
}

/**
 * Gives a name to the file `own`. A link appears whole and fails where the name is taken, also on network file
 * systems. A dead holder's file is replaced under a guard, itself such a lock, whose name only those who saw
 * this very holder dead compete for: of many contenders one replaces, and nobody removes what a living one holds.
 */
async function take(run: string, path: string, mine: Holder, own: string): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      await link(own, path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const found = await holderOf(path);
    if (!found) continue;
    if (isAlive(found.holder, found.mtimeMs)) throw lockedBy(run, found.holder);
    const guard = `${path}.after-${found.holder.id.slice(0, 8)}`;
    await take(run, guard, mine, own);
    try {
      if ((await holderOf(path))?.holder.id !== found.holder.id) continue;
      const replacement = `${own}.new`;
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
        suggestions: [`Remove ${printable(path)} if nothing trains this run.`],
      });
    }
    throw error;
  }
}

const lockedBy = (run: string, { pid, host }: Holder) =>
  inputError(`${printable(run)} is being trained by process ${pid} on ${printable(host)}.`, {
    code: 'locked',
    suggestions: ['Wait for it to end, or choose another --out.'],
  });
