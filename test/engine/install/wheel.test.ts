import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unpackWheel } from '../../../src/engine/install/wheel.js';

interface Member {
  name: string;
  content: string;
  mode?: number;
  stored?: boolean;
  declaredSize?: number;
}

/** A zip file by hand: local entries, directory, end record. */
function zip(members: Member[]): Buffer {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let at = 0;
  for (const { name, content, mode = 0o644, stored = false, declaredSize } of members) {
    const packed = stored ? Buffer.from(content) : deflateRawSync(content);
    const size = declaredSize ?? Buffer.byteLength(content);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(stored ? 0 : 8, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(size, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE((0o100000 + mode) * 0x10000, 38);
    entry.writeUInt32LE(at, 42);
    locals.push(local, Buffer.from(name), packed);
    entries.push(entry, Buffer.from(name));
    at += local.length + name.length + packed.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, directory, end]);
}

describe('unpackWheel', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparselaw-wheel-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const unpack = async (bytes: Buffer) => {
    const path = join(folder, 'a.whl');
    await writeFile(path, bytes);
    await unpackWheel(path, join(folder, 'out'));
  };

  it('writes files with their modes', async () => {
    await unpack(
      zip([
        { name: 'a/lib.so', content: 'x'.repeat(100_000), mode: 0o755 },
        { name: 'a/b/c.txt', content: 'text', stored: true },
        { name: 'a/empty', content: '' },
      ]),
    );
    expect((await stat(join(folder, 'out/a/lib.so'))).mode & 0o777).toBe(0o755);
    expect(await readFile(join(folder, 'out/a/lib.so'), 'utf8')).toHaveLength(100_000);
    expect(await readFile(join(folder, 'out/a/b/c.txt'), 'utf8')).toBe('text');
    expect(await readFile(join(folder, 'out/a/empty'), 'utf8')).toBe('');
  });

  it.each([
    ['a path upwards', zip([{ name: '../evil', content: 'x' }])],
    ['an absolute path', zip([{ name: '/evil', content: 'x' }])],
    ['more bytes than declared', zip([{ name: 'bomb', content: 'x'.repeat(1e6), declaredSize: 10 }])],
    ['a bomb', zip([{ name: 'bomb', content: 'x'.repeat(1e5), declaredSize: 7e7 }])],
    ['no zip at all', Buffer.from('hello')],
    ['a cut file', zip([{ name: 'a', content: 'x' }]).subarray(10)],
  ])('refuses %s', async (_, bytes) => {
    await expect(unpack(bytes)).rejects.toMatchObject({ code: 'bad-wheel', exitStatus: 4 });
  });
});
