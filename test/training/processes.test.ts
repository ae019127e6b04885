import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runPaths } from '../../src/files/run.js';
import { runCommand, startNode } from '../engine/xla/pjrt/child.js';
import { WITHOUT_PLUGIN } from '../engine/xla/with-xla.js';
import { writeTinyCorpus } from './corpus.js';
import { bytesOf } from './run-bytes.js';

let folder: string;
let data: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-processes-'));
  data = await writeTinyCorpus(join(folder, 'corpus'));
});
afterAll(() => rm(folder, { recursive: true }));

const trainArguments = (out: string, ...more: string[]) => [
  ...['train', '--data', data, '--out', out, '--engine', 'xla', '--device', 'cpu', '--quiet'],
  ...[
    '--layers',
    '1',
    '--width',
    '8',
    '--heads',
    '2',
    '--ff',
    '12',
    '--seq-len',
    '8',
    '--batch-tokens',
    '32',
  ],
  ...['--tokens', '16k', '--checkpoints', 'every:3200', '--keep-state', '9', '--log-every', '1', ...more],
];

describe.skipIf(WITHOUT_PLUGIN)('a run on the XLA engine', () => {
  it('killed and resumed in another process has the bytes of one that was not', async () => {
    const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')];
    expect(await runCommand(trainArguments(whole))).toMatchObject({ status: 0, stderr: '' });
    const { child, done } = startNode(['bin/run.js', ...trainArguments(killed)]);
    const saved = async () =>
      (await readdir(runPaths(killed).checkpoints).catch(() => [])).some((name) => /^\d+$/.test(name));
    while (child.exitCode === null && !(await saved())) await sleep(5);
    child.kill('SIGKILL');
    expect(await done).toMatchObject({ signal: 'SIGKILL' });
    expect(existsSync(runPaths(killed).done)).toBe(false);
    expect(await runCommand(trainArguments(killed, '--resume'))).toMatchObject({ status: 0 });
    const [wanted, actual] = [await bytesOf(whole), await bytesOf(killed)];
    for (const [name, hash] of Object.entries(wanted)) expect(actual[name] === hash, name).toBe(true);
  });
});

describe('a command whose plugin fails', () => {
  const ended = async (args: string[], env: NodeJS.ProcessEnv) => {
    const { status, signal, stdout, stderr } = await runCommand([...args, '--json'], env);
    expect({ status, signal, stderr }).toEqual({ status: 4, signal: null, stderr: '' });
    return JSON.parse(stdout).error as { code: string; message: string; suggestions: string[] };
  };
  const failure = (env: NodeJS.ProcessEnv) => ended(trainArguments(join(folder, 'failed')), env);

  it('says that there is none, and what to do', async () => {
    const error = await failure({ SPARSELAW_CACHE_DIR: join(folder, 'empty'), SPARSELAW_PJRT_PLUGIN: '' });
    expect(error.code).toBe('plugin-missing');
    expect(error.suggestions).toContain('sparselaw engine install xla-cpu');
  });

  it('names a file that is no library, or another one', async () => {
    const text = join(folder, 'text.so');
    await writeFile(text, 'not a library');
    expect(await failure({ SPARSELAW_PJRT_PLUGIN: text })).toMatchObject({
      code: 'plugin-unloadable',
      message: expect.stringContaining(text),
    });
    const other = resolve('node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node');
    if (!existsSync(other)) return;
    expect(await failure({ SPARSELAW_PJRT_PLUGIN: other })).toMatchObject({
      code: 'plugin-unusable',
      message: expect.stringContaining('GetPjrtApi'),
    });
  });

  it.skipIf(WITHOUT_PLUGIN)('reports in the plugin’s words that memory does not suffice', async () => {
    // Attention scores of 2 · 262144² float32: 550 GB in one piece.
    const long = await writeTinyCorpus(join(folder, 'long'), {
      trainTokens: 600_000,
      validationTokens: 300_000,
    });
    const args = [
      ...['train', '--data', long, '--out', join(folder, 'huge'), '--engine', 'xla', '--device', 'cpu'],
      ...['--layers', '1', '--width', '8', '--heads', '2', '--ff', '12', '--seq-len', '262144'],
      ...['--batch-tokens', '262144', '--tokens', '262144', '--checkpoints', '262144', '--quiet'],
    ];
    expect(await ended(args, {})).toMatchObject({
      code: 'out-of-memory',
      message: expect.stringMatching(/Out of memory allocating .* \[RESOURCE_EXHAUSTED\]/),
    });
  });
});
