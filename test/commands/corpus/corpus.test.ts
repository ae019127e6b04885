import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { program, root } from '../../cli/cli.js';
import { sparselawHere as sparselaw } from '../../cli/in-process.js';

const VALID = join(root, 'fixtures/tinybooks.valid.txt');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'corpus-command-'));
});
afterAll(() => rmSync(folder, { recursive: true }));
const build = (...args: string[]) => sparselaw(['corpus', 'build', ...args], { cwd: folder });
const file = (name: string, content: string | Uint8Array) => {
  writeFileSync(join(folder, name), content);
  return name;
};

describe('corpus build and show', () => {
  it('build a corpus and show it, as text and as one JSON object', async () => {
    const built = await build(
      VALID,
      '--out',
      'made',
      '--vocab-size',
      '300',
      '--licence',
      'public domain',
      '--json',
    );
    expect(built.status, built.stderr).toBe(0);
    const result = JSON.parse(built.stdout);
    expect(result).toMatchObject({ path: 'made', vocabSize: 300, isReused: false });
    expect(result.tokens).toBe(result.trainTokens + result.validationTokens);
    expect(built.stderr).toMatch(/encode/);

    const shown = await sparselaw(['corpus', 'show', 'made', '--json', '--sample', '20'], { cwd: folder });
    const { manifest, sample } = JSON.parse(shown.stdout);
    expect(manifest).toEqual(JSON.parse(readFileSync(join(folder, 'made/manifest.json'), 'utf8')));
    expect(manifest.licence).toBe('public domain');
    expect(sample.length).toBeGreaterThan(10);
    expect(readFileSync(VALID, 'utf8')).toContain(sample);
    const drawn = await sparselaw(['corpus', 'show', 'made'], { cwd: folder });
    expect(drawn.status).toBe(0);
    expect(drawn.stdout).toContain(manifest.sha256);
    expect(drawn.stdout).toContain('public domain');

    const again = await build(
      VALID,
      '--out',
      'made',
      '--vocab-size',
      '300',
      '--licence',
      'public domain',
      '--quiet',
    );
    expect(again).toMatchObject({ status: 0, stderr: '' });
    expect(again.stdout).toMatch(/there already/);
  });

  it.each([
    ['no text', ['--out', 'x'], 2, /Missing 1 required arg/],
    ['no --out', [VALID], 2, /Missing required flag --out/],
    [
      'a vocabulary too small',
      [VALID, '--out', 'x', '--vocab-size', '100'],
      2,
      /--vocab-size: 100 must be from 257 to 30000/,
    ],
    [
      'a vocabulary too large',
      [VALID, '--out', 'x', '--vocab-size', '50k'],
      2,
      /--vocab-size: 50000 must be from 257/,
    ],
    ['a share of 1', [VALID, '--out', 'x', '--validation-share', '1'], 2, /--validation-share: 1 must be/],
    ['a missing file', ['absent.txt', '--out', 'x'], 3, /Cannot read absent\.txt/],
    [
      'a missing tokenizer',
      [VALID, '--tokenizer', 'absent.json', '--out', 'x'],
      3,
      /Cannot read absent\.json/,
    ],
    ['a target that is a file', [VALID, '--out', VALID], 3, /tinybooks\.valid\.txt/],
  ])('end with one line on %s', async (_, args, status, message) => {
    const outcome = await build(...args, '--json');
    expect(outcome.status).toBe(status);
    expect(JSON.parse(outcome.stdout).error.message).toMatch(message);
    expect(readdirSync(folder)).not.toContain('x');
  });

  it('name a bad byte, an empty file, a damaged shard', async () => {
    const latin = await build(file('latin.txt', Buffer.from([0x61, 10, 0xe9, 10])), '--out', 'x', '--json');
    expect(latin.status).toBe(3);
    expect(JSON.parse(latin.stdout).error).toMatchObject({ code: 'not-utf8' });
    expect(JSON.parse(latin.stdout).error.message).toMatch(/latin\.txt .* offset 2, line 2/);
    const empty = await build(file('empty.txt', ''), '--out', 'x');
    expect(empty).toMatchObject({ status: 3, stdout: '' });
    expect(empty.stderr).toMatch(/empty\.txt holds no text/);
    expect(empty.stderr).not.toMatch(/\n\s+at /);
    const bytes = readFileSync(join(folder, 'made/train/00000.bin'));
    bytes[500]! ^= 4;
    file('made/train/00000.bin', bytes);
    const shown = await sparselaw(['corpus', 'show', 'made'], { cwd: folder });
    expect(shown.status).toBe(3);
    expect(shown.stderr.replace(/\s+/g, ' ')).toMatch(/made\/train\/00000\.bin is not a whole token shard/);
  });

  it('stop at Ctrl-C with status 6 and leave nothing', async () => {
    const text = file('long.txt', readFileSync(VALID, 'utf8').repeat(60));
    const child = spawn(process.execPath, [program, 'corpus', 'build', text, '--out', 'stopped', '--json'], {
      cwd: folder,
    });
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.once('data', () => child.kill('SIGINT'));
    const status = await new Promise((done) => child.on('close', done));
    expect(status).toBe(6);
    expect(JSON.parse(stdout).error.code).toBe('interrupted');
    expect(readdirSync(folder).filter((name) => name.includes('stopped'))).toEqual([]);
  });
});
