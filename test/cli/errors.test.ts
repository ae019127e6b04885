import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { unknownCommand } from '../../src/unknown-command.js';
import { execute, program, root, sparselaw } from './cli.js';
import { sparselawHere } from './in-process.js';

const temporary = () => mkdtemp(join(tmpdir(), 'sparselaw-'));
/** The message alone, without oclif's arrows and line breaks. */
const line = (stderr: string) => stderr.replace(/\s*\n?\s*›\s*/g, ' ').trim();

describe('usage errors', () => {
  it('reach the shell as status 2, one line or one object, and an empty stdout', async () => {
    const plain = await sparselaw(['fit', 'x.csv', '--nope']);
    expect(plain).toMatchObject({ status: 2, stdout: '' });
    expect(line(plain.stderr)).toMatch(/Nonexistent flag: --nope/);
    const json = await sparselaw(['fit', 'x.csv', '--nope', '--json']);
    expect(json).toMatchObject({ status: 2, stderr: '' });
    expect(Object.keys(JSON.parse(json.stdout))).toEqual(['error']);
  });

  const wrong: [string, string[], RegExp][] = [
    ['an unknown flag', ['fit', 'x.csv', '--nope'], /Nonexistent flag: --nope/],
    ['a missing argument', ['fit'], /Missing 1 required arg: table/],
    [
      'a value that is no number',
      ['fit', 'x.csv', '--hold-out', 'much'],
      /--hold-out: "much" is not a number/,
    ],
    [
      'a number out of range',
      ['fit', 'x.csv', '--hold-out', '2'],
      /--hold-out: 2 must be at least 0 and at most 0.9/,
    ],
    [
      'a flag given twice',
      ['fit', 'x.csv', '--drop-first', '1', '--drop-first', '2'],
      /Flag --drop-first can only be specified once/,
    ],
    ['a missing flag', ['predict', 'fit.json'], /^(Error: )?Missing required flag --at\b/],
    [
      'a flag that needs another',
      ['engine', 'bench', '--seconds', '1'],
      /^(Error: )?All of the following must be provided when using --seconds: --tune/,
    ],
    ['a second argument', ['fit', 'x.csv', 'extra'], /Unexpected argument: extra/],
  ];
  it.each(wrong)('exits 2 with one line for %s', async (_name, args, message) => {
    const plain = await sparselawHere(args);
    expect(plain.status).toBe(2);
    expect(line(plain.stderr)).toMatch(message);
    expect(plain.stdout).toBe('');
    const json = await sparselawHere([...args, '--json']);
    expect(json.status).toBe(2);
    const { error } = JSON.parse(json.stdout);
    expect(Object.keys(error)).toEqual(['code', 'message', 'suggestions']);
    expect(error.message).toMatch(message);
  });
});

it('takes help as a command, too', async () => {
  const [asCommand, asFlag] = await Promise.all([
    sparselaw(['help', 'checkpoint', 'list']),
    sparselaw(['checkpoint', 'list', '--help']),
  ]);
  expect(asCommand).toEqual(asFlag);
  expect(asCommand).toMatchObject({ status: 0, stderr: '' });
  expect(asCommand.stdout).toContain('USAGE');
});

it('exits 2 for a command that is none', async () => {
  const { status, stderr } = await sparselaw(['corpus', 'nothing']);
  expect(status).toBe(2);
  expect(line(stderr)).toMatch(/command corpus nothing not found; see sparselaw --help/);
  const asJson = await sparselaw(['mesure', 'runs', '--json']);
  expect(asJson).toMatchObject({ status: 2, stderr: '' });
  expect(JSON.parse(asJson.stdout).error).toMatchObject({
    code: 'usage',
    message: 'command mesure not found. Did you mean measure? See sparselaw --help',
  });
});

describe('words that are no command', () => {
  const commands = ['train', 'measure', 'engine:list', 'corpus:build', 'corpus:show'];
  it.each([
    ['trian --data', 'command trian not found. Did you mean train? See sparselaw --help'],
    ['train corpus', 'Unexpected argument: corpus; see sparselaw train --help'],
    ['engine list xla', 'Unexpected argument: xla; see sparselaw engine list --help'],
    ['corpus biuld text', 'command corpus biuld not found. Did you mean corpus build? See sparselaw --help'],
    ['corpsu build', 'command corpsu not found. Did you mean corpus? See sparselaw --help'],
    ['x', 'command x not found; see sparselaw --help'],
  ])('%s', (words, message) => {
    expect(unknownCommand(words.split(' '), commands)).toBe(message);
  });
});

describe('oclif', () => {
  it.each([
    ['measure', '--metric', 'zero,pplp', 'nowhere'],
    ['evaluate', '--tasks', 'a.jsonl,b.jsonl', 'nowhere'],
    ['fit', '--law', 'log,constant', 'nowhere'],
    ['fit', '--where', 'metric=zero', 'nowhere'],
    ['predict', '--at', '1e6,1e7', 'nowhere'],
  ])('takes no argument for a list: %s %s %s %s', async (...args) => {
    const { status, stdout } = await sparselawHere([...args, '--json']);
    expect(status).toBe(3);
    expect(JSON.parse(stdout).error.message).toMatch(/nowhere/);
  });

  it('takes no shared file for a command', async () => {
    const { stdout } = await sparselawHere(['--help']);
    expect(stdout).not.toMatch(/^ +_/m);
    expect((await sparselaw(['_base'])).status).toBe(2);
  });
});

it('ends quietly where a pipe is closed early', async () => {
  const folder = await temporary();
  const rows = Array.from({ length: 600 }, (_, i) => `r${i % 100},${1 + i / 100}e9,${0.1 - i / 1e4}`);
  await writeFile(join(folder, 't.csv'), `run_id,tokens,activation_ratio\n${rows.join('\n')}\n`);
  const line = `"${process.execPath}" "${program}" fit "${join(folder, 't.csv')}" --law linear --quiet | head -1; echo "status \${PIPESTATUS[0]}"`;
  const { stdout, stderr } = await execute('bash', ['-c', line]);
  expect(stdout).toMatch(/status 0\n$/);
  expect(stderr).toBe('');
});

describe('bad input', () => {
  it('exits 3 naming the missing file, with and without --json, and shows no stack', async () => {
    const plain = await sparselaw(['fit', 'no-such-table.csv']);
    expect(plain.status).toBe(3);
    expect(line(plain.stderr)).toMatch(/no-such-table\.csv/);
    expect(plain.stderr).not.toMatch(/\n\s+at /);
    const json = await sparselaw(['fit', 'no-such-table.csv', '--json']);
    expect(json.status).toBe(3);
    expect(JSON.parse(json.stdout).error.message).toMatch(/no-such-table\.csv/);
  });

  it.each([
    [['train', '--data', 'no-such-corpus'], /^no-such-corpus does not exist\.$/, 'sparselaw corpus build'],
    [
      ['train', '--data', 'src'],
      /^src is no corpus: it holds no manifest\.json\.$/,
      'sparselaw corpus build',
    ],
    [['checkpoint', 'show', 'src'], /^src is no checkpoint, nor a run with one\.$/, 'Give RUN'],
    [['checkpoint', 'show', 'nowhere'], /^nowhere does not exist\.$/, 'Give RUN'],
    [['predict', 'table.csv', '--at', '1'], /^table\.csv is a table/, 'sparselaw fit table.csv'],
  ])('tells what %j was given instead', async (args, message, suggestion) => {
    const { status, stdout } = await sparselawHere([...args, '--json'], { cwd: root });
    const { error } = JSON.parse(stdout);
    expect(status).toBe(3);
    expect(error.message).toMatch(message);
    expect(error.suggestions.join()).toContain(suggestion);
  });

  it('tells an empty table from one whose rows are left out', async () => {
    const path = join(await temporary(), 't.csv');
    await writeFile(path, 'tokens,activation_ratio\n');
    const { stdout } = await sparselawHere(['fit', path, '--json']);
    expect(JSON.parse(stdout).error.message).toBe(`${path} holds no rows, only the names of its columns.`);
  });

  it('knows which law is meant', async () => {
    const { status, stdout } = await sparselawHere(['fit', 't.csv', '--law', 'logspace', '--json']);
    expect(status).toBe(2);
    expect(JSON.parse(stdout).error.message).toMatch(/no law "logspace"\. Did you mean logspace-power\?$/);
  });

  it('names a column that is not there and those that are', async () => {
    const folder = await temporary();
    await writeFile(join(folder, 't.csv'), 'tokens,ratio\n1,2\n2,3\n');
    const { status, stderr } = await sparselawHere(['fit', join(folder, 't.csv'), '--y', 'activation']);
    expect(status).toBe(3);
    expect(line(stderr)).toMatch(/activation/);
    expect(line(stderr)).toMatch(/ratio/);
    expect(await readdir(folder)).toEqual(['t.csv']);
  });
});

describe('help', () => {
  it('lists the commands fast', async () => {
    const { status, stdout } = await sparselaw(['--help']);
    expect(status).toBe(0);
    for (const word of ['corpus', 'train', 'measure', 'fit', 'report', 'doctor', 'demo'])
      expect(stdout).toContain(word);
  });
});
