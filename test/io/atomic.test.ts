import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeFileAtomic, writeFolderAtomic, writeStreamAtomic } from '../../src/io/atomic.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atomic-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const host = hostname()
  .replace(/[^A-Za-z0-9-]/g, '')
  .slice(0, 32);

describe('writeFileAtomic', () => {
  it('makes the parent folder and replaces a file', async () => {
    const path = join(folder, 'deep/er/file.txt');
    await writeFileAtomic(path, 'one');
    await writeFileAtomic(path, 'two');
    expect(readFileSync(path, 'utf8')).toBe('two');
    expect(readdirSync(join(folder, 'deep/er'))).toEqual(['file.txt']);
  });

  it('keeps the old content and leaves nothing when writing fails half-way', async () => {
    const path = join(folder, 'file');
    await writeFileAtomic(path, 'old');
    const failing = writeStreamAtomic(path, async (handle) => {
      await handle.writeFile('half');
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    });
    await expect(failing).rejects.toMatchObject({ exitStatus: 3, code: 'disk-full' });
    await expect(failing).rejects.toThrow(/^Cannot write \S+file: the disk is full\.$/);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it.runIf(existsSync('/dev/full'))('says so when the device itself is full', async () => {
    const { appendJsonl } = await import('../../src/io/jsonl.js');
    await expect(appendJsonl('/dev/full', [1])).rejects.toThrow(/Cannot write \/dev\/full: the disk is full/);
  });

  it('says in one line why a place cannot be written', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(writeFileAtomic(join(folder, 'file/below'), '')).rejects.toMatchObject({ exitStatus: 3 });
    mkdirSync(join(folder, 'taken'));
    await expect(writeFileAtomic(join(folder, 'taken'), 'x')).rejects.toMatchObject({ exitStatus: 3 });
    expect(readdirSync(folder)).toEqual(['file', 'taken']);
  });

  it.skipIf(process.getuid?.() === 0)('names a folder that is not ours', async () => {
    chmodSync(folder, 0o500);
    await expect(writeFileAtomic(join(folder, 'x'), '')).rejects.toMatchObject({ code: 'permission-denied' });
  });

  it('removes what a killed process left, and nothing else', async () => {
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    const stale = join(folder, `.file.tmp-${host}-${dead}-00000000`);
    const reused = join(folder, `.file.tmp-${host}-${process.pid}-00000000`);
    const living = join(folder, `.file.tmp-${host}-${process.ppid}-00000000`);
    const elsewhere = join(folder, '.file.tmp-another-host-1-00000000');
    for (const path of [stale, reused, living, elsewhere]) writeFileSync(path, '');
    utimesSync(reused, 0, 0);
    await writeFileAtomic(join(folder, 'file'), 'x');
    expect([stale, reused, living, elsewhere].map((path) => existsSync(path))).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });
});

describe('writeFolderAtomic', () => {
  const fill = (content: string) => async (temporary: string) => {
    mkdirSync(join(temporary, 'sub'));
    writeFileSync(join(temporary, 'sub/a'), content);
  };

  it('appears whole, or not at all', async () => {
    const path = join(folder, 'made');
    const failing = writeFolderAtomic(path, async (temporary) => {
      await fill('x')(temporary);
      expect(existsSync(path)).toBe(false);
      throw new Error('stop');
    });
    await expect(failing).rejects.toThrow('stop');
    expect(readdirSync(folder)).toEqual([]);
    await writeFolderAtomic(path, fill('x'));
    expect(readFileSync(join(path, 'sub/a'), 'utf8')).toBe('x');
    expect(readdirSync(folder)).toEqual(['made']);
  });

  it('refuses a folder with content unless told to replace it', async () => {
    const path = join(folder, 'made');
    mkdirSync(path);
    await writeFolderAtomic(path, fill('old'));
    await expect(writeFolderAtomic(path, fill('new'))).rejects.toMatchObject({
      code: 'exists',
      exitStatus: 3,
    });
    expect(readFileSync(join(path, 'sub/a'), 'utf8')).toBe('old');
    await writeFolderAtomic(path, fill('new'), { replace: true });
    expect(readFileSync(join(path, 'sub/a'), 'utf8')).toBe('new');
    expect(readdirSync(folder)).toEqual(['made']);
  });
});
