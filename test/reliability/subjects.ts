import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '../../src/io/hash.js';
import { root, sparselaw } from '../cli/cli.js';
import { writeTinyCorpus } from '../training/corpus.js';
import { bytesOf } from '../training/run-bytes.js';
import type { Subject } from './harness.js';

const MODEL = [
  ...['--layers', '1', '--width', '8', '--ff', '12', '--heads', '2', '--seq-len', '8'],
  ...['--batch-tokens', '32', '--tokens', '320', '--warmup', '64', '--learning-rate', '0.01'],
  ...['--checkpoints', '64+128+192+256+320', '--keep-state', '9', '--log-every', '1', '--engine', 'cpu'],
];
export const trainArgs = (out: string, more: string[] = []) => [
  'train',
  '--data',
  'corpus',
  '--out',
  out,
  ...MODEL,
  ...more,
];

async function run(folder: string, args: string[]): Promise<void> {
  const { status, stderr } = await sparselaw([...args, '--quiet'], { cwd: folder });
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
}

/** A corpus and a trained run. */
export async function prepareRun(folder: string): Promise<void> {
  await writeTinyCorpus(join(folder, 'corpus'));
  await run(folder, trainArgs('relu', ['--activation', 'relu']));
}

let measured: string | undefined;

/** A corpus, a trained and measured run and its table; made once and copied. */
export async function prepareTable(folder: string): Promise<void> {
  if (measured) return cpSync(measured, folder, { recursive: true });
  await prepareRun(folder);
  await run(folder, measureArgs('relu'));
  await run(folder, ['table', 'relu', '--out', 'made.csv']);
  measured = mkdtempSync(join(tmpdir(), 'sparselaw-measured-'));
  process.on('exit', () => rmSync(measured!, { recursive: true, force: true }));
  cpSync(folder, measured, { recursive: true });
}

export const measureArgs = (target: string) => [
  ...['measure', target, '--metric', 'zero,pplp', '--p', '1', '--data', 'corpus', '--engine', 'cpu'],
  ...['--tokens', '64', '--calibration-tokens', '32'],
];

/** Every file below a folder, times and time-dependent hashes left out of the JSON ones. */
function filesOf(folder: string): Record<string, string> {
  const result: Record<string, string> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const text = readFileSync(path, 'latin1').replace(
      /"(elapsedSeconds|createdAt)": ?("[^"]*"|[^,\n}]*)/g,
      '',
    );
    result[path.slice(folder.length + 1)] = sha256(text);
  }
  return result;
}

const fileOf = (folder: string, ...names: string[]) =>
  Object.fromEntries(names.map((name) => [name, sha256(readFileSync(join(folder, name)))]));

/** A tokenizer of 32 words, one letter or two each. */
const WORDS = JSON.stringify({
  version: '1.0',
  added_tokens: [],
  pre_tokenizer: { type: 'Whitespace' },
  model: {
    type: 'WordLevel',
    vocab: Object.fromEntries(Array.from({ length: 32 }, (_, id) => [id.toString(36), id])),
    unk_token: '0',
  },
});

const SWEEP_ARGS = ['sweep', 'run', 'grid.yaml', '--out', 'study', '--parallel', '2', '--gpus', 'none'];

const SWEEP_RETRY = ['sweep', 'retry', 'study', '--parallel', '2', '--gpus', 'none'];

/** Runs, trained and measured by processes of their own, and their table. */
const sweep = (seeds: readonly number[]): Omit<Subject, 'name'> => ({
  prepare: async (folder) => {
    await writeTinyCorpus(join(folder, 'corpus'));
    const shape = 'layers: 1, width: 8, heads: 2, ff: 12, seqLen: 8, batchTokens: 32, learningRate: 0.01';
    writeFileSync(
      join(folder, 'grid.yaml'),
      `defaults: { data: corpus, engine: cpu, ${shape}, tokens: 192, warmup: 64, checkpoints: 64+128+192, logEvery: 1 }
product: { seed: ${JSON.stringify(seeds)} }
measure: [{ metric: zero, tokens: 64 }]
table: table.csv
`,
    );
  },
  args: () => SWEEP_ARGS,
  recover: [SWEEP_ARGS, SWEEP_RETRY],
  result: async (folder) => {
    const study = join(folder, 'study');
    const files: Record<string, string> = {};
    for (const id of readdirSync(join(study, 'runs'))) {
      const run = join(study, 'runs', id);
      for (const part of [await bytesOf(run), filesOf(join(run, 'sparsity'))]) {
        for (const [name, hash] of Object.entries(part)) files[`${id}/${name}`] = hash;
      }
      const status = JSON.parse(readFileSync(join(study, 'status', `${id}.json`), 'utf8'));
      files[`${id}/status`] = status.state;
      files[`${id}/attempts`] = overlaps(status.attempts) ? 'two at a time' : 'one at a time';
    }
    return { ...files, ...fileOf(study, 'table.csv') };
  },
});

/** Whether an attempt on a run began before the one before it had ended. */
const overlaps = (attempts: { startedAt: string; endedAt: string | null }[]) =>
  attempts.slice(1).some(({ startedAt }, i) => startedAt < (attempts[i]!.endedAt ?? attempts[i]!.startedAt));

export const SUBJECTS: Subject[] = [
  {
    name: 'train',
    prepare: async (folder) => {
      await writeTinyCorpus(join(folder, 'corpus'));
    },
    args: (again) => trainArgs('run', again ? ['--resume'] : []),
    result: (folder) => bytesOf(join(folder, 'run')),
  },
  {
    name: 'measure',
    prepare: prepareRun,
    args: () => measureArgs('relu'),
    result: async (folder) => filesOf(join(folder, 'relu/sparsity')),
  },
  {
    name: 'corpus build',
    prepare: async (folder) => {
      mkdirSync(folder, { recursive: true });
      const text = readFileSync(join(root, 'fixtures/tinybooks.valid.txt'), 'utf8').slice(0, 20_000);
      writeFileSync(join(folder, 'text.txt'), text.replaceAll('\n\n', '\n<|endoftext|>\n'));
    },
    args: () => ['corpus', 'build', 'text.txt', '--out', 'corpus', '--vocab-size', '300'],
    result: async (folder) => filesOf(join(folder, 'corpus')),
  },
  {
    name: 'table',
    prepare: prepareTable,
    args: () => ['table', 'relu', '--out', 'table.csv'],
    result: async (folder) => fileOf(folder, 'table.csv', 'table.csv.schema.json'),
  },
  {
    name: 'fit',
    prepare: prepareTable,
    args: () => [
      'fit',
      'made.csv',
      '--law',
      'convergent-power,constant',
      '--all-phases',
      '--out',
      'fit.json',
    ],
    result: async (folder) => fileOf(folder, 'fit.json'),
  },
  {
    name: 'report',
    prepare: prepareTable,
    args: () => ['report', 'made.csv', 'relu', '--out', 'report.html'],
    result: async (folder) => fileOf(folder, 'report.html'),
  },
  {
    name: 'train with TensorBoard',
    prepare: async (folder) => {
      await writeTinyCorpus(join(folder, 'corpus'));
    },
    args: (again) => trainArgs('run', ['--tensorboard', ...(again ? ['--resume'] : [])]),
    result: (folder) => bytesOf(join(folder, 'run')),
  },
  {
    name: 'measure with profiles',
    prepare: prepareRun,
    args: () => [
      ...measureArgs('relu/checkpoints/000000000000320'),
      ...['--profile', 'pareto,cett,neurons,tokens,positions,chunks', '--profile-format', 'csv'],
    ],
    result: async (folder) => filesOf(join(folder, 'relu/sparsity')),
  },
  {
    name: 'export',
    prepare: async (folder) => {
      await prepareTable(folder);
      const sparsity = join(folder, 'relu/sparsity');
      const name = readdirSync(sparsity).find((each) => each.startsWith('000000000000320.pplp'))!;
      cpSync(join(sparsity, name), join(folder, 'chosen.json'));
    },
    writesOnce: true,
    args: () => ['export', 'relu', '--from', 'chosen.json', '--out', 'exported'],
    result: async (folder) => filesOf(join(folder, 'exported')),
  },
  {
    name: 'evaluate',
    prepare: async (folder) => {
      await prepareTable(folder);
      writeFileSync(join(folder, 'relu/checkpoints/000000000000320/tokenizer.json'), WORDS);
      const item = { context: 'a', choices: [' b', ' c'], label: 0 };
      writeFileSync(join(folder, 'task.jsonl'), `${JSON.stringify(item)}\n`);
    },
    args: () => [
      ...['evaluate', 'relu', '--tasks', 'task.jsonl', '--samples', 'samples.jsonl', '--p', '1'],
      ...['--data', 'corpus', '--tokens', '64', '--engine', 'cpu'],
    ],
    result: async (folder) => ({
      ...filesOf(join(folder, 'relu/evaluation')),
      ...fileOf(folder, 'samples.jsonl'),
    }),
  },
  {
    name: 'report with figures',
    prepare: prepareTable,
    args: () => ['report', 'made.csv', '--out', 'report.html', '--figures', 'figures'],
    result: async (folder) => ({ ...fileOf(folder, 'report.html'), ...filesOf(join(folder, 'figures')) }),
  },
  { ...sweep([0, 1]), name: 'sweep run', struck: 'sweep run' },
  {
    ...sweep([0]),
    name: 'sweep task',
    struck: 'sweep task',
    // A run whose process was killed waits for a retry, whose processes are killed again.
    args: (again) => (again ? SWEEP_RETRY : SWEEP_ARGS),
  },
];
