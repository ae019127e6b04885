import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyCheckpoint, verifyCheckpoints } from '../../src/checkpoint/verify.js';
import { type Config, resolveConfig } from '../../src/config.js';
import { listCheckpoints, metricsRowSchema } from '../../src/files/run.js';
import { readJsonl } from '../../src/io/jsonl.js';
import { lockRun } from '../../src/training/lock.js';
import { train } from '../../src/training/train.js';
import { TINY, writeTinyCorpus } from './corpus.js';

let folder: string;
let data: string;
let otherData: string;
/** A finished run of three checkpoints, the last two with state; copied by tests that damage it. */
let whole: string;
const configOf = (changes: Partial<Config> = {}): Config =>
  resolveConfig({
    flags: { ...TINY, data, tokens: 96, checkpoints: '32,64', ...changes },
    corpusVocabSize: 32,
  });
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-refusals-'));
  data = await writeTinyCorpus(join(folder, 'corpus'));
  otherData = await writeTinyCorpus(join(folder, 'other'), { seed: 1 });
  whole = join(folder, 'whole');
  await train(configOf(), { out: whole });
});
afterAll(() => rm(folder, { recursive: true }));

async function copyOfWhole(name: string): Promise<string> {
  const run = join(folder, name);
  await cp(whole, run, { recursive: true });
  await rm(join(run, 'DONE'));
  return run;
}
const flip = async (path: string, at: number) => {
  const bytes = await readFile(path);
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  await writeFile(path, bytes);
};

describe('a run folder that does not fit is refused in one line, status 3', () => {
  it('somebody else’s folder, and leaves nothing in it', async () => {
    const theirs = join(folder, 'theirs');
    await mkdir(theirs);
    await writeFile(join(theirs, 'thesis.tex'), '');
    await expect(train(configOf(), { out: theirs, resume: true })).rejects.toMatchObject({
      exitStatus: 3,
      code: 'foreign-folder',
      message: expect.stringMatching(/^.*thesis\.tex\.$/),
    });
    expect(await readdir(theirs)).toEqual(['thesis.tex']);
  });

  it('another configuration, naming the keys', async () => {
    await expect(train(configOf({ seed: 3, clip: 2 }), { out: whole, resume: true })).rejects.toMatchObject({
      exitStatus: 3,
      code: 'other-config',
      message: expect.stringMatching(/clip 1 there, 2 here; seed 0 there, 3 here\.$/),
    });
  });

  it('another corpus under the same configuration', async () => {
    const run = await copyOfWhole('other-corpus');
    await expect(train(configOf({ data: otherData }), { out: run, resume: true })).rejects.toMatchObject({
      exitStatus: 3,
      code: 'other-data',
    });
  });

  it('a folder another process is training', async () => {
    const run = await copyOfWhole('locked');
    const lock = await lockRun(run);
    await expect(train(configOf(), { out: run, resume: true })).rejects.toMatchObject({
      exitStatus: 3,
      code: 'locked',
    });
    await lock.release();
    await expect(train(configOf(), { out: run, resume: true })).resolves.toMatchObject({ status: 'done' });
    expect(await readdir(run)).not.toContain('.lock');
  });
});

describe('the lock', () => {
  it('is taken over from a process that is gone, not from one that lives', async () => {
    const run = join(folder, 'lock');
    await mkdir(run);
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const holder = { id: 'child', pid: child.pid, host: hostname(), boot: null, processStart: null };
    await writeFile(join(run, '.lock'), JSON.stringify(holder));
    await expect(lockRun(run)).rejects.toMatchObject({ code: 'locked' });
    const ended = new Promise((done) => child.on('exit', done));
    child.kill('SIGKILL');
    await ended;
    const locks = await Promise.allSettled(Array.from({ length: 20 }, () => lockRun(run)));
    const held = locks.filter((each) => each.status === 'fulfilled');
    expect(held).toHaveLength(1);
    await held[0]!.value.check();
    await held[0]!.value.release();
    expect(await readdir(run)).toEqual([]);
  });

  it('knows a process id that another process has now', async () => {
    const run = join(folder, 'reused');
    await mkdir(run);
    const holder = { id: 'x', pid: process.pid, host: hostname(), boot: null, processStart: '1' };
    await writeFile(join(run, '.lock'), JSON.stringify(holder));
    const lock = await lockRun(run);
    await writeFile(join(run, '.lock'), JSON.stringify({ ...holder, id: 'thief' }));
    await expect(lock.check()).rejects.toMatchObject({ code: 'lock-lost' });
    await lock.release();
    expect(await readdir(run)).toEqual(['.lock']);
  });
});

describe('divergence', () => {
  it('stops with status 5, keeps and names the last good checkpoint, and says so in FAILED.json', async () => {
    const run = join(folder, 'diverged');
    const config = configOf({ tokens: 320, checkpoints: '0+every:64', learningRate: 1e30 });
    await expect(train(config, { out: run })).rejects.toMatchObject({ exitStatus: 5 });
    const failed = JSON.parse(await readFile(join(run, 'FAILED.json'), 'utf8'));
    const saved = await listCheckpoints(run);
    expect(failed.lastGoodCheckpoint).toBe(saved.at(-1)!.name);
    expect(failed.message).toMatch(/not finite|diverged/);
    expect(await readdir(run)).not.toContain('DONE');
    for (const { path } of saved) expect((await verifyCheckpoint(path)).problems).toEqual([]);
  });
});

describe('retention', () => {
  it('keeps the state of the last k and the weights of all', async () => {
    const run = join(folder, 'retention');
    await train(configOf({ tokens: 160, checkpoints: 'every:32', keepState: 2 }), { out: run });
    const states = await Promise.all(
      (await listCheckpoints(run)).map(async ({ path }) => (await readdir(path)).sort()),
    );
    const weights = [
      'config.json',
      'model.safetensors',
      'state.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ];
    const all = [...weights, 'optimizer.safetensors'].sort();
    expect(states).toEqual([weights, weights, weights, all, all]);
    const results = await verifyCheckpoints((await listCheckpoints(run)).map(({ path }) => path));
    expect(results.flatMap(({ problems }) => problems)).toEqual([]);
    expect(results.map(({ resumable }) => resumable)).toEqual([false, false, false, true, true]);
  });
});

describe('verification', () => {
  it.each([
    ['model.safetensors', -3, 'model.norm.weight'],
    ['optimizer.safetensors', -3, 'exp_avg_sq.model.norm.weight'],
    ['model.safetensors', 9, undefined],
    ['tokenizer.json', 2, undefined],
    ['config.json', 12, undefined],
    ['state.json', 40, undefined],
  ])('finds one flipped bit of %s at %i', async (file, at, tensor) => {
    const run = await copyOfWhole(`flip-${file}-${at}`);
    const last = (await listCheckpoints(run)).at(-1)!;
    await flip(join(last.path, file), at);
    const { problems } = await verifyCheckpoint(last.path);
    expect(problems.map((problem) => [problem.file, problem.tensor])).toContainEqual([file, tensor]);
  });

  it('finds equal weights at different steps and a parent that is not the one it came from', async () => {
    const run = await copyOfWhole('twins');
    const [first, second, third] = await listCheckpoints(run);
    await rm(second!.path, { recursive: true });
    await cp(first!.path, second!.path, { recursive: true });
    const results = await verifyCheckpoints([first!.path, second!.path, third!.path]);
    const messages = results.map(({ problems }) => problems.map(({ message }) => message).join('; '));
    expect(messages[0]).toBe('');
    expect(messages[1]).toMatch(/same weights/);
    expect(messages[2]).toMatch(/does not descend/);
  });
});

describe('damage and resume', () => {
  it('passes over a damaged checkpoint, with a warning, and ends with the same weights', async () => {
    const run = await copyOfWhole('damaged');
    const last = (await listCheckpoints(run)).at(-1)!;
    const model = join(last.path, 'model.safetensors');
    const before = await readFile(model);
    await flip(model, -3);
    const warnings: string[] = [];
    await train(configOf(), {
      out: run,
      resume: true,
      onEvent: (event) => {
        if (event.type === 'warning') warnings.push(event.message);
      },
    });
    expect(warnings.join()).toMatch(/model\.safetensors was changed/);
    expect((await readFile(model)).equals(before)).toBe(true);
    const { rows } = await readJsonl(join(run, 'metrics.jsonl'), metricsRowSchema);
    // Two steps to the checkpoint resumed from, then the third anew: none twice.
    const steps = rows.flatMap((row) => ('learning_rate' in row ? [row.step] : []));
    expect(steps).toEqual([1, 2, 3]);
    const discarded = await readFile(join(run, 'metrics.discarded.jsonl'), 'utf8');
    expect(
      discarded
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).step),
    ).toEqual([3, 3]);
  });

  it('refuses when nothing is left to resume from', async () => {
    const run = await copyOfWhole('nothing-left');
    for (const { path } of await listCheckpoints(run))
      await rm(join(path, 'optimizer.safetensors'), { force: true });
    await expect(train(configOf(), { out: run, resume: true })).rejects.toMatchObject({
      exitStatus: 3,
      code: 'no-resume-point',
    });
  });
});
