import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { inputError } from '../../src/errors.js';
import { temporaryPath } from '../../src/io/atomic.js';
import { clearDeadLock, takeLock } from '../../src/io/lock.js';

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-lock-'));
afterAll(() => rmSync(folder, { recursive: true }));
const words = { what: 'it', held: () => inputError('It is held.', { code: 'locked' }) };

/** Larger than Linux lets a process id be. */
const NO_PROCESS = 2 ** 22 + 1;

/** What a process that was killed leaves. */
async function leaveDead(path: string): Promise<void> {
  const lock = await takeLock(path, words);
  const holder = JSON.parse(readFileSync(path, 'utf8'));
  await lock.release();
  writeFileSync(path, JSON.stringify({ ...holder, pid: NO_PROCESS }));
}

describe('a lock', () => {
  it('is refused while its holder lives, and taken over from a dead one', async () => {
    const path = join(folder, 'taken.lock');
    await leaveDead(path);
    const lock = await takeLock(path, words);
    await expect(takeLock(path, words)).rejects.toMatchObject({ code: 'locked' });
    await lock.check();
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('takes away what a process left that was killed while it wrote one', async () => {
    const path = join(folder, 'torn.lock');
    const torn = temporaryPath(path).replace(`-${process.pid}-`, `-${NO_PROCESS}-`);
    writeFileSync(torn, '{"id":');
    await (await takeLock(path, words)).release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is cleared where its holder is dead, and stays where it lives', async () => {
    const path = join(folder, 'cleared.lock');
    await clearDeadLock(path);
    await leaveDead(path);
    await clearDeadLock(path);
    expect(existsSync(path)).toBe(false);
    const lock = await takeLock(path, words);
    await clearDeadLock(path);
    await lock.check();
    await lock.release();
  });
});
