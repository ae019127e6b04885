import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flagName } from '../../src/config.js';
import { listCheckpoints } from '../../src/files/run.js';
import { randomStream } from '../../src/random.js';
import { program } from '../cli/cli.js';
import { sparselawHere } from '../cli/in-process.js';
import { WITHOUT_PLUGIN } from '../engine/xla/with-xla.js';
import { TINY, writeTinyCorpus } from '../training/corpus.js';
import { bytesOf } from '../training/run-bytes.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-command-'));
  await writeTinyCorpus(join(folder, 'corpus'));
  await inFolder(command('whole', long));
});
afterAll(() => rm(folder, { recursive: true }));

const flagsOf = (values: Record<string, unknown>) =>
  Object.entries(values).flatMap(([key, value]) => [`--${flagName(key)}`, String(value)]);
const command = (out: string, changes: Record<string, unknown> = {}, ...more: string[]) => [
  'train',
  ...['--data', 'corpus', '--out', out],
  ...flagsOf({ ...TINY, ...changes }),
  ...more,
];
const inFolder = (args: string[]) => sparselawHere(args, { cwd: folder });

/** Long enough that a process can be stopped in the middle. */
const long = { tokens: 32 * 200, checkpoints: 'every:640', validationTokens: 64 };

/** Waits for a file of a run, or the end of the process that should write it. */
async function appears(child: ChildProcess, run: string, name: string): Promise<void> {
  const names = () => readdir(join(folder, run)).catch((): string[] => []);
  while (child.exitCode === null && !(await names()).includes(name)) await delay(5);
}

describe('sparselaw train', () => {
  it('prints one JSON object and leaves a run', async () => {
    const { status, stdout } = await inFolder(command('json', {}, '--json', '--quiet'));
    expect(status).toBe(0);
    const { run, checkpoints } = JSON.parse(stdout);
    expect(run).toBe('json');
    expect(checkpoints).toEqual(
      (await listCheckpoints(join(folder, 'json'))).map(({ name }) => `json/checkpoints/${name}`),
    );
    const again = await inFolder(command('json'));
    expect(again.status).toBe(3);
    expect(again.stderr).toMatch(/already holds a run/);
  });

  it('takes a file that a run wrote, and flags over it', async () => {
    await inFolder(command('first'));
    const out = ['--out', 'second', '--seed', '4', '--dry-run', '--json'];
    const { stdout } = await inFolder(['train', '--config', 'first/config.json', ...out]);
    const { config, plan } = JSON.parse(stdout);
    const stored = JSON.parse(await readFile(join(folder, 'first/config.json'), 'utf8'));
    expect(config).toEqual({ ...stored, seed: 4 });
    expect(plan).toMatchObject({ steps: 10, tokens: 320, disk: { weightsBytes: 4 * plan.parameters.total } });
    expect(await readdir(folder)).not.toContain('second');
  });

  it.each([
    [['--data', 'corpus', '--layers', '0'], 2, /--layers must be/],
    [['--no-such-flag'], 2, /--no-such-flag/],
    [['--data', 'corpus', '--checkpoints', 'log:x', '--dry-run'], 2, /checkpoints: "log:x"/],
    [['--config', 'bad.yaml'], 3, /bad\.yaml, line 2: .*Did you\s+mean layers/],
    [['--config', 'missing.yaml'], 3, /missing\.yaml/],
    [['--data', 'nowhere'], 3, /nowhere/],
  ])('refuses %j with status %i', async (args, status, message) => {
    await writeFile(join(folder, 'bad.yaml'), 'seed: 1\nlayres: 2\n');
    const outcome = await inFolder(['train', '--out', 'refused', ...args]);
    expect(outcome.status).toBe(status);
    // oclif wraps long lines behind a mark.
    expect(outcome.stderr.replace(/\n ›\s+/g, ' ')).toMatch(message);
    expect(outcome.stderr).not.toMatch(/^\s+at /m);
    expect(await readdir(folder)).not.toContain('refused');
  });

  const oneStep = { tokens: 32, checkpoints: 'every:32', warmup: 0 };

  it.skipIf(WITHOUT_PLUGIN)('writes the texts of its programs with --dump-program', async () => {
    const dumping = command('dumped', { ...oneStep, engine: 'xla' }, '--dump-program', 'programs/of/dumped');
    expect((await inFolder(dumping)).status).toBe(0);
    const text = await readFile(join(folder, 'programs/of/dumped/train-step.mlir'), 'utf8');
    expect(text).toMatch(/^module @/);
    expect(text).toContain('%state.parameters.');
  });

  it('says where --dump-program cannot write, before there is a run, and with which engine it has no texts', async () => {
    const dumpInto = async (dir: string) => {
      const { status, stderr } = await inFolder(command('undumped', oneStep, '--dump-program', dir));
      return { status, says: stderr.replace(/\s+(› +)?/g, ' ') };
    };
    const refused = await dumpInto('corpus/manifest.json');
    expect(refused.status).toBe(3);
    expect(refused.says).toContain(
      'Cannot write corpus/manifest.json: something of that name is in the way.',
    );
    const { status, says } = await dumpInto('empty');
    expect(says).toContain('The engine cpu has no program texts; empty stays empty.');
    expect([status, await readdir(join(folder, 'empty'))]).toEqual([0, []]);
  });

  it('has nothing to continue where no run is, and says how to begin one', async () => {
    const { status, stdout } = await inFolder(['train', '--resume', '--out', 'none', '--json']);
    expect(status).toBe(3);
    expect(JSON.parse(stdout).error).toMatchObject({
      code: 'no-run',
      message: 'none holds no run to continue.',
      suggestions: ['To begin one: sparselaw train --data DIR --out none'],
    });
  });

  it('saves at the first Ctrl-C, exits 6 and prints a command that finishes the run', async () => {
    const child = spawn(process.execPath, [program, ...command('stopped', long, '--json')], { cwd: folder });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    const ended = new Promise<number | null>((done) => child.on('close', done));
    await appears(child, 'stopped', 'provenance.json');
    child.kill('SIGINT');
    expect(await ended).toBe(6);
    expect(JSON.parse(stdout)).toMatchObject({ run: 'stopped', status: 'interrupted' });
    const next = /sparselaw (train --resume .*)/.exec(stderr)![1]!;
    expect((await inFolder(next.split(' '))).status).toBe(0);
    const [whole, stopped] = [await bytesOf(join(folder, 'whole')), await bytesOf(join(folder, 'stopped'))];
    for (const [name, hash] of Object.entries(whole)) expect(stopped[name] === hash, name).toBe(true);
  });

  it('ends with the same bytes after kill -9 at random moments', async () => {
    const stream = randomStream(1, 'kills');
    let kills = 0;
    for (let attempt = 0; attempt < 3; attempt++) {
      const child = spawn(process.execPath, [program, ...command('killed', long, '--resume', '--quiet')], {
        cwd: folder,
        stdio: 'ignore',
      });
      const ended = new Promise<NodeJS.Signals | null>((done) =>
        child.on('close', (_, signal) => done(signal)),
      );
      await appears(child, 'killed', '.lock');
      await delay(stream.integer(600));
      child.kill('SIGKILL');
      if ((await ended) === 'SIGKILL') kills += 1;
    }
    expect(kills).toBeGreaterThan(0);
    expect((await inFolder(command('killed', long, '--resume'))).status).toBe(0);
    expect(await bytesOf(join(folder, 'killed'))).toEqual(await bytesOf(join(folder, 'whole')));
    const left = (await readdir(join(folder, 'killed'), { recursive: true })).filter((name) =>
      /(^|\/)\./.test(name),
    );
    expect(left).toEqual([]);
  });
});

describe('sparselaw checkpoint', () => {
  it('lists, shows and verifies', async () => {
    await inFolder(command('checked'));
    const list = JSON.parse((await inFolder(['checkpoint', 'list', 'checked', '--json'])).stdout);
    expect(list.checkpoints.map(({ step }: { step: number }) => step)).toEqual([2, 5, 8, 10]);
    const last = list.checkpoints.at(-1).path;
    const show = JSON.parse((await inFolder(['checkpoint', 'show', last, '--json'])).stdout);
    expect(show.checkpoints[0]).toMatchObject({
      tokens: 320,
      shape: { width: 8 },
      parent: '000000000000256',
    });
    const ofRun = JSON.parse((await inFolder(['checkpoint', 'show', 'checked', '--json'])).stdout);
    expect(ofRun).toEqual(show);
    expect((await inFolder(['checkpoint', 'verify', 'checked'])).status).toBe(0);
    const model = join(folder, last, 'model.safetensors');
    const bytes = await readFile(model);
    bytes[bytes.length - 2]! ^= 4;
    await writeFile(model, bytes);
    const damaged = await inFolder(['checkpoint', 'verify', 'checked', '--json']);
    expect(damaged.status).toBe(3);
    expect(JSON.parse(damaged.stdout).error.message).toMatch(
      /model\.safetensors, tensor model\.norm\.weight/,
    );
    expect((await inFolder(['checkpoint', 'list', 'corpus'])).status).toBe(3);
    // Under another name as well: what is damaged comes first.
    await rename(join(folder, last), join(folder, 'renamed'));
    const renamed = await inFolder(['checkpoint', 'verify', 'renamed', '--json']);
    const { message, suggestions } = JSON.parse(renamed.stdout).error;
    expect(message).toBe(
      'renamed: model.safetensors, tensor model.norm.weight: was changed after it was written (and 1 more)',
    );
    expect(suggestions).toEqual(["renamed: the folder's name does not say 320 tokens"]);
    await truncate(join(folder, 'renamed/model.safetensors'), 1000);
    const cut = await inFolder(['checkpoint', 'verify', 'renamed', '--json']);
    expect(JSON.parse(cut.stdout).error.message).toMatch(
      /^\/\S*renamed\/model\.safetensors is not a whole safetensors file: /,
    );
  });
});
