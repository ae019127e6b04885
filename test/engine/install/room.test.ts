import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { installPlugin } from '../../../src/engine/install/index.js';

vi.mock('../../../src/io/free-space.js', () => ({ freeBytes: async () => 5e8 }));

let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'sparselaw-room-'));
  vi.stubEnv('SPARSELAW_CACHE_DIR', cache);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(cache, { recursive: true, force: true });
});

it.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'a disk without room for the wheel and what is in it is named before anything is downloaded',
  async () => {
    const failure = await installPlugin('tensorflow').catch((error) => error);
    expect(failure).toMatchObject({ code: 'disk-full', exitStatus: 4 });
    // 274 MB of wheel and archive and the 854 MB that come out of them.
    expect(failure.message).toBe(
      `tensorflow needs 1.1 GB while it is installed; ${join(cache, 'plugins')} has 0.5 GB free.`,
    );
    expect(failure.suggestions).toEqual([
      'Free some space, or set SPARSELAW_CACHE_DIR to a folder on another disk.',
    ]);
    expect((await readdir(cache, { recursive: true })).filter((name) => name !== 'plugins')).toEqual([]);
  },
);
