import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifyCheckpoint } from '../../src/checkpoint/verify.js';
import { resolveConfig } from '../../src/config.js';
import { listCheckpoints } from '../../src/files/run.js';
import { train } from '../../src/training/train.js';
import { TINY, writeTinyCorpus } from './corpus.js';
import { bytesOf } from './run-bytes.js';

const execute = promisify(execFile);

/** A file system of a few hundred kB in memory; undefined where we may not mount one. */
async function mountSmall(folder: string): Promise<string | undefined> {
  const small = await mkdtemp(join(folder, 'small-'));
  return execute('mount', ['-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', small]).then(
    () => small,
    () => undefined,
  );
}

const folder = await mkdtemp(join(tmpdir(), 'sparselaw-disk-'));
const small = await mountSmall(folder);
if (!small) console.warn('The test of a full disk is skipped: mounting a tmpfs needs root.');

beforeAll(async () => {
  await writeTinyCorpus(join(folder, 'corpus'));
});
afterAll(async () => {
  if (small) await execute('umount', [small]);
  await rm(folder, { recursive: true });
});

it.skipIf(!small)(
  'stops clearly on a full disk, corrupts nothing, and goes on when there is space',
  async () => {
    const config = resolveConfig({
      flags: {
        ...TINY,
        data: join(folder, 'corpus'),
        tokens: 32 * 20,
        checkpoints: 'every:32',
        keepState: 20,
      },
      corpusVocabSize: 32,
    });
    const run = join(small!, 'run');
    const error = await train(config, { out: run }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'disk-full', exitStatus: 3 });
    expect((error as Error).message).toMatch(
      /^Cannot write .*: the disk is full\. The last good checkpoint is .*\d{15}\.$/,
    );
    const saved = await listCheckpoints(run);
    expect(saved.length).toBeGreaterThan(1);
    expect(saved.length).toBeLessThan(20);
    // No half of anything.
    expect((await readdir(join(run, 'checkpoints'))).filter((name) => !/^\d{15}$/.test(name))).toEqual([]);
    for (const { path } of saved) expect((await verifyCheckpoint(path)).problems).toEqual([]);

    await execute('mount', ['-o', 'remount,size=2m', small!]);
    expect((await train(config, { out: run, resume: true })).status).toBe('done');
    const whole = join(folder, 'whole');
    await train(config, { out: whole });
    expect(await bytesOf(run)).toEqual(await bytesOf(whole));
  },
);
