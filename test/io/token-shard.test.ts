import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createShard, openShard } from '../../src/io/token-shard.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shard-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function write(name: string, vocabSize: number, ...pieces: number[][]): Promise<string> {
  const path = join(folder, name);
  rmSync(path, { force: true });
  const shard = await createShard(path, vocabSize);
  for (const piece of pieces) await shard.append(Uint32Array.from(piece));
  await shard.finish();
  return path;
}

function read(path: string, start: number, count: number): number[] {
  const shard = openShard(path);
  const ids = new Int32Array(count);
  shard.read(start, ids);
  shard.close();
  return Array.from(ids);
}

describe('token shards', () => {
  it.each([
    [2, 65536, [0, 65535, 7]],
    [4, 65537, [65536, 1, 2]],
  ])('keep ids in %d bytes below %d', async (bytes, vocabSize, ids) => {
    const path = await write('s', vocabSize, ids.slice(0, 1), ids.slice(1));
    expect(readFileSync(path).length).toBe(64 + 3 * bytes);
    expect(read(path, 0, 3)).toEqual(ids);
    expect(read(path, 1, 2)).toEqual(ids.slice(1));
    expect(() => read(path, 2, 2)).toThrow(RangeError);
  });

  it('may be empty', async () => {
    expect(read(await write('empty', 300), 0, 0)).toEqual([]);
  });

  it('take no id outside the vocabulary', async () => {
    const shard = await createShard(join(folder, 'outside'), 300);
    await expect(shard.append(Uint32Array.of(1, 300))).rejects.toThrow(/id 300 is outside/);
    await shard.abandon();
  });

  it('detect any flipped byte, and a file cut off or grown', async () => {
    const path = await write('flip', 300, [1, 2, 3, 299]);
    const bytes = readFileSync(path);
    for (let i = 0; i < bytes.length; i++) {
      const flipped = Buffer.from(bytes);
      flipped[i]! ^= 1 << (i % 8);
      writeFileSync(path, flipped);
      expect(() => openShard(path), `byte ${i}`).toThrow(/flip is not a whole token shard: /);
    }
    for (const changed of [
      bytes.subarray(0, 40),
      bytes.subarray(0, -1),
      bytes.subarray(0, -2),
      Buffer.concat([bytes, bytes]),
    ]) {
      writeFileSync(path, changed);
      expect(() => openShard(path)).toThrow(/flip is not a whole token shard: /);
    }
  });

  it('without a header, as a killed writer leaves them, are refused', async () => {
    const path = join(folder, 'killed');
    const shard = await createShard(path, 300);
    await shard.append(Uint32Array.of(1, 2, 3));
    await shard.abandon();
    expect(() => openShard(path)).toThrow(/does not begin with the magic bytes/);
  });
});
