import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { program, sparselaw } from '../cli/cli.js';
import { TEST_DEVICE } from '../engine/xla/with-xla.js';
import { writeTinyCorpus } from '../training/corpus.js';
import { bytesOf } from '../training/run-bytes.js';

/** The first checkpoint of a run. */
const FIRST = join('checkpoints', '000000000128000');

/** What happens to a run when its device fails: exit 4, whole checkpoints, and it goes on to the same bytes. */

let folder: string;
let whole: string;

/** Deterministic, so that an interrupted run can be held against a whole one. */
const MODEL = [
  ...['--layers', '2', '--width', '64', '--ff', '128', '--heads', '4', '--seq-len', '32'],
  ...['--batch-tokens', '256', '--tokens', '512000', '--checkpoints', 'every:128000', '--keep-state', '9'],
  ...['--engine', 'xla', '--device', TEST_DEVICE, '--deterministic', '--log-every', '50'],
];
const start = (out: string, env: NodeJS.ProcessEnv = {}) =>
  sparselaw(['train', '--data', 'corpus', '--out', out, ...MODEL, '--quiet'], { cwd: folder, env });
const resume = (out: string, env: NodeJS.ProcessEnv = {}) =>
  sparselaw(['train', '--resume', '--out', out, '--quiet'], { cwd: folder, env });
const preload = (name: string) => ({
  NODE_OPTIONS: `--import=${pathToFileURL(resolve(import.meta.dirname, name)).href}`,
});

async function expectWhole(out: string): Promise<string[]> {
  const names = await readdir(join(folder, out, 'checkpoints'));
  const paths = names.filter((name) => !name.startsWith('.')).map((name) => join(out, 'checkpoints', name));
  const { status, stdout, stderr } = await sparselaw(['checkpoint', 'verify', ...paths], { cwd: folder });
  expect(status, stdout + stderr).toBe(0);
  return paths;
}

async function expectSameBytes(out: string): Promise<void> {
  const [wanted, found] = [await bytesOf(whole), await bytesOf(join(folder, out))];
  for (const [name, hash] of Object.entries(wanted)) expect(found[name] === hash, name).toBe(true);
}

/** A run that Ctrl-C ended once its first checkpoint was there. */
async function interrupted(out: string): Promise<void> {
  const args = ['train', '--data', 'corpus', '--out', out, ...MODEL, '--quiet'];
  const child = spawn(process.execPath, [program, ...args], { cwd: folder, stdio: 'ignore' });
  const ended = once(child, 'exit');
  while (child.exitCode === null && !existsSync(join(folder, out, FIRST))) await setTimeout(10);
  child.kill('SIGINT');
  expect((await ended)[0]).toBe(6);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'failures-'));
  await writeTinyCorpus(join(folder, 'corpus'), { trainTokens: 65_536 });
  whole = join(folder, 'whole');
  const { status, stderr } = await start('whole');
  expect(status, stderr).toBe(0);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The run ends as it must, keeps whole checkpoints, and goes on to the bytes of a run that nothing disturbed. */
async function expectRecovery(
  out: string,
  failed: { status: number | null; stderr: string },
  message: RegExp,
) {
  const text = failed.stderr.replace(/\s*\n?\s*›\s*/g, ' ');
  expect(failed.status, text).toBe(4);
  expect(text).toMatch(message);
  expect(text).toMatch(/The last good checkpoint is /);
  const failure = JSON.parse(await readFile(join(folder, out, 'FAILED.json'), 'utf8'));
  expect(failure.lastGoodCheckpoint).not.toBeNull();
  expect(await expectWhole(out)).not.toHaveLength(0);
  const { status, stderr } = await resume(out);
  expect(status, stderr).toBe(0);
  await expectSameBytes(out);
}

describe('a run whose device fails', () => {
  it('goes on after a program that does not compile', async () => {
    await interrupted('compile');
    const failed = await resume('compile', preload('break-program.mjs'));
    await expectRecovery('compile', failed, /XLA failed compiling train-step: .*no_such_/);
  });

  it.runIf(TEST_DEVICE === 'cuda')('goes on after it had too little memory', async () => {
    await interrupted('memory');
    const failed = await resume('memory', { SPARSELAW_GPU_MEMORY: '0.00001' });
    await expectRecovery('memory', failed, /out of memory/i);
  });

  it.runIf(TEST_DEVICE === 'cuda')('goes on after no device was to be seen', async () => {
    await interrupted('unseen');
    const failed = await resume('unseen', { CUDA_VISIBLE_DEVICES: '-1' });
    // Refused before a session begins, so nothing is written about it.
    expect(failed.status, failed.stderr).toBe(4);
    await expectWhole('unseen');
    const { status, stderr } = await resume('unseen');
    expect(status, stderr).toBe(0);
    await expectSameBytes('unseen');
  });

  it.runIf(TEST_DEVICE === 'cuda')('goes on after its device was lost on the way', async () => {
    const failed = await start('lost', {
      ...preload('lose-device.mjs'),
      SPARSELAW_LOSE_AFTER: join(folder, 'lost', FIRST),
    });
    await expectRecovery('lost', failed, /XLA failed/);
  });
});
