import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeFolder } from '../../src/io/make-folder.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sparselaw-folders-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('makes what is missing, alone or in a race, and leaves what is there', async () => {
  const deep = join(folder, 'a/b/c');
  await Promise.all([makeFolder(deep), makeFolder(join(deep, 'd')), makeFolder(deep)]);
  await makeFolder(deep);
  expect(statSync(join(deep, 'd')).isDirectory()).toBe(true);
});

it('fails where a file is in the way', async () => {
  writeFileSync(join(folder, 'file'), '');
  await expect(makeFolder(join(folder, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeFolder(join(folder, 'file/below'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

it.runIf(existsSync('/proc/self'))(
  'fails where the system makes no folders, and does not ask for ever',
  async () => {
    await expect(makeFolder('/proc/sparselaw/deep')).rejects.toMatchObject({ code: 'ENOENT' });
  },
);
