import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sha256File } from '../../src/io/hash.js';
import { program, root, sparselaw } from '../cli/cli.js';

const book = readFileSync(join(root, 'fixtures/tinybooks.train.txt'), 'utf8');
const TOKENIZER = join(root, 'fixtures/corpus/tokenizer.json');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'build-long-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const argsOf = (text: string, out: string) => [
  'corpus',
  'build',
  text,
  '--tokenizer',
  TOKENIZER,
  '--out',
  out,
  '--quiet',
];

function writeText(name: string, bytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  for (let written = 0, i = 0; written < bytes; i++, written += book.length) {
    appendFileSync(path, book.replaceAll('the ', `the ${i} `));
  }
  return path;
}

/** Peak resident memory of a build, in MiB. */
async function peakMemory(bytes: number): Promise<number> {
  const report =
    "data:text/javascript,process.on('exit',()=>console.error('peak',process.resourceUsage().maxRSS))";
  const out = join(folder, `out-${bytes}`);
  const { status, stderr } = await sparselaw(argsOf(writeText(`text-${bytes}.txt`, bytes), out), {
    env: { NODE_OPTIONS: `--import=${report}` },
  });
  expect(status, stderr).toBe(0);
  return Number(/peak (\d+)/.exec(stderr)![1]) / 1024;
}

it('needs hardly more memory for 200 MB than for 20', async () => {
  const small = await peakMemory(20e6);
  const large = await peakMemory(200e6);
  console.log(`peak memory: ${small.toFixed()} MiB for 20 MB, ${large.toFixed()} MiB for 200 MB`);
  // 180 MB more of text; what grows is the arena of the native library, by some tens of MiB.
  expect(large - small).toBeLessThan(100);
});

it('writes the same bytes with one thread as with all', async () => {
  const text = writeText('threads.txt', 5e6);
  const hashes: string[] = [];
  for (const env of [{ RAYON_NUM_THREADS: '1' }, {}]) {
    const out = join(folder, `threads-${hashes.length}`);
    expect((await sparselaw(argsOf(text, out), { env })).status).toBe(0);
    hashes.push(await sha256File(join(out, 'manifest.json')));
  }
  expect(hashes[0]).toBe(hashes[1]);
});

it('killed at 25 random moments, ends the same and leaves nothing', async () => {
  const text = writeText('killed.txt', 8e6);
  const whole = join(folder, 'whole');
  const started = Date.now();
  expect((await sparselaw(argsOf(text, whole))).status).toBe(0);
  const duration = Date.now() - started;
  const out = join(folder, 'killed');
  for (let i = 0; i < 25; i++) {
    const child = spawn(process.execPath, [program, ...argsOf(text, out)], { stdio: 'ignore' });
    const timer = setTimeout(() => child.kill('SIGKILL'), Math.random() * duration * 1.1);
    await new Promise((done) => child.on('close', done));
    clearTimeout(timer);
  }
  expect((await sparselaw(argsOf(text, out))).status).toBe(0);
  expect(readFileSync(join(out, 'manifest.json'))).toEqual(readFileSync(join(whole, 'manifest.json')));
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  expect((await sparselaw(['corpus', 'show', out])).status).toBe(0);
});
