import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { sparselaw } from '../cli/cli.js';
import { writeTinyCorpus } from '../training/corpus.js';
import { leftovers, STAYS } from './harness.js';

const STEPS = 10_000;
const CHECKPOINTS = 1_000;
/** Above what the heap and the plugin's pools need to settle: a thousand forgotten checkpoints would be more. */
const GROWTH_MEGABYTES = 24;

/** A thousand checkpoints are never opened together. */
const MAX_FILES = 100;

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-long-'));
const kept = process.env.SPARSELAW_TEST_KEEP;
afterAll(() => {
  const logs = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
  if (kept) for (const name of logs) cpSync(join(folder, name), join(kept, name));
  rmSync(folder, { recursive: true, force: true });
});

interface Sample {
  seconds: number;
  rss: number;
  heapUsed: number;
  files: number;
  /** On the engine's device. */
  tensors: number;
  deviceBytes: number;
}

/** Runs a command and samples it. */
async function sampled(name: string, args: string[]): Promise<Sample[]> {
  const log = join(folder, `${name}.jsonl`);
  const preload = `--import=${pathToFileURL(join(import.meta.dirname, 'sampler.mjs')).href}`;
  const env = { ...STAYS, NODE_OPTIONS: preload, SPARSELAW_SAMPLES: log };
  const { status, stderr } = await sparselaw([...args, '--quiet'], { cwd: folder, env });
  expect(status, stderr).toBe(0);
  return readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** What is left after a collection: between two of them V8 lets the heap grow as it likes. */
const floor = (samples: Sample[], key: keyof Sample) => Math.min(...samples.map((sample) => sample[key]));

/** Between its second fifth and its last, memory, open files and what the device holds stay. */
function expectFlat(samples: Sample[]): void {
  const fifth = Math.floor(samples.length / 5);
  expect(fifth).toBeGreaterThan(3);
  const [early, late] = [samples.slice(fifth, 2 * fifth), samples.slice(-fifth)];
  for (const key of ['rss', 'heapUsed'] as const) {
    const growth = floor(late, key) - floor(early, key);
    console.log(`${key}: ${(growth / 2 ** 20).toFixed(1)} MB in ${samples.at(-1)!.seconds.toFixed(0)} s`);
    expect(growth / 2 ** 20).toBeLessThan(GROWTH_MEGABYTES);
  }
  for (const key of ['files', 'tensors', 'deviceBytes'] as const)
    expect(floor(late, key), key).toBeLessThanOrEqual(floor(early, key));
  expect(Math.max(...samples.map(({ files }) => files))).toBeLessThan(MAX_FILES);
  expect(Math.max(...late.map(({ tensors }) => tensors))).toBeGreaterThan(0);
}

it('ten thousand steps and a thousand measured checkpoints take no more memory at the end than at the beginning', async () => {
  await writeTinyCorpus(join(folder, 'corpus'));
  const tokens = STEPS * 32;
  const shape = ['--layers', '1', '--width', '8', '--ff', '12', '--heads', '2', '--seq-len', '8'];
  const schedule = [
    '--batch-tokens',
    '32',
    '--tokens',
    String(tokens),
    '--warmup',
    '64',
    '--learning-rate',
    '0.01',
  ];
  const saving = ['--checkpoints', `every:${tokens / CHECKPOINTS}`, '--activation', 'relu'];
  expectFlat(
    await sampled('train', ['train', '--data', 'corpus', '--out', 'run', ...shape, ...schedule, ...saving]),
  );
  expect(readdirSync(join(folder, 'run/checkpoints'))).toHaveLength(CHECKPOINTS);
  const metric = ['--metric', 'zero', '--data', 'corpus', '--tokens', '64'];
  expectFlat(await sampled('measure', ['measure', 'run', ...metric]));
  // And DONE.
  expect(readdirSync(join(folder, 'run/sparsity'))).toHaveLength(CHECKPOINTS + 1);
  expect(leftovers(folder)).toEqual([]);
});
