import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluateCheckpoint } from '../../src/downstream/evaluate.js';
import { exportThresholds } from '../../src/downstream/export.js';
import type { SparselawError } from '../../src/errors.js';
import { evaluationSchema } from '../../src/files/evaluation.js';
import { readFloatTensors } from '../../src/io/safetensors.js';
import { sparselawHere as sparselaw } from '../cli/in-process.js';

const fixtures = resolve('fixtures/downstream');
const checkpoint = join(fixtures, 'checkpoint');
const measurement = join(fixtures, 'measurement.json');
const task = join(fixtures, 'tasks/lambada-style.jsonl');
const WASM = ['--engine', 'wasm', '--quiet'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-downstream-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Status and code of a refusal. */
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => [0, 'nothing'],
    ({ exitStatus, code }: SparselawError) => [exitStatus, code],
  );

/** The fixture's measurement with other values. */
async function altered(name: string, values: object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(measurement, 'utf8')), ...values }));
  return path;
}

describe('checkpoint, of a Hugging Face folder', () => {
  it('shows what was understood, and says what it cannot verify', async () => {
    const shown = await sparselaw(['checkpoint', 'show', checkpoint]);
    expect(shown.status).toBe(0);
    expect(shown.stdout).toMatch(/family +llama\n/);
    expect(shown.stdout).toMatch(/ffn +80 neurons, relu, gated\n/);
    // 2 layers of width 32 with 80 neurons, 512 tied embeddings: 512·32 + 2·(4·32² + 3·32·80 + 2·32) + 32.
    expect(shown.stdout).toMatch(/parameters +40096\n/);
    const verified = await sparselaw(['checkpoint', 'verify', checkpoint, '--json']);
    expect(verified.status).toBe(3);
    expect(JSON.parse(verified.stdout).error.code).toBe('foreign-checkpoint');
  });
});

describe('export', () => {
  it('writes thresholds, hook and README, and says so', async () => {
    const out = join(folder, 'exported');
    const { status, stdout } = await sparselaw(['export', checkpoint, '--from', measurement, '--out', out]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/thresholds of 2 × 80 neurons \(PPL-20%, activation ratio 0\.\d+\)/);
    expect((await readdir(out)).sort()).toEqual(['README.md', 'sparse_hook.py', 'thresholds.safetensors']);
    const tensors = await readFloatTensors(join(out, 'thresholds.safetensors'));
    expect([...tensors.keys()]).toEqual([0, 1].map((layer) => `model.layers.${layer}.mlp.down_proj`));
    expect(await readFile(join(out, 'README.md'), 'utf8')).toContain('PPL-20%');
    const again = await sparselaw(['export', checkpoint, '--from', measurement, '--out', out, '--json']);
    expect(again.status).toBe(3);
    expect(JSON.parse(again.stdout).error.code).toBe('exists');
  });

  it('refuses other weights, metrics without thresholds on h, and what is no measurement', async () => {
    const out = join(folder, 'refused');
    const refused = (from: string) => refusal(exportThresholds(checkpoint, from, out));
    expect(await refused(await altered('other.json', { checkpointSha256: '0'.repeat(64) }))).toEqual([
      3,
      'other-checkpoint',
    ]);
    expect(await refused(await altered('fat.json', { metric: 'fat', epsilon: 1 }))).toEqual([
      3,
      'no-thresholds',
    ]);
    expect(await refused(join(checkpoint, 'config.json'))).toEqual([3, 'bad-value']);
    expect(await refused(join(folder, 'none.json'))).toEqual([3, 'missing-file']);
    expect(await readdir(folder)).not.toContain('refused');
  });

  it('warns where nothing would be left out', async () => {
    const { layers } = JSON.parse(await readFile(measurement, 'utf8'));
    const from = await altered('zero.json', {
      metric: 'zero',
      layers: layers.map(({ threshold, ...rest }: { threshold: number }) => rest),
    });
    const out = join(folder, 'zero');
    const { status, stderr } = await sparselaw(['export', checkpoint, '--from', from, '--out', out]);
    expect(status).toBe(0);
    expect(stderr).toContain('All thresholds are 0');
  });
});

describe('evaluate', () => {
  it('prints scores, work and text, and writes one file', async () => {
    const out = join(folder, 'evaluated');
    const args = ['evaluate', checkpoint, '--tasks', task, '--from', measurement, '--out', out, ...WASM];
    const text = ['--text', 'fixtures/tinybooks.valid.txt', '--tokens', '4096', '--work', '--limit', '3'];
    const prompt = ['--prompt', 'The king said', '--max-new-tokens', '5'];
    const plain = await sparselaw([...args, ...text, ...prompt]);
    expect(plain.stderr).toBe('');
    expect(plain.stdout).toMatch(/lambada-style \(3\) .* dense /);
    expect(plain.stdout).toMatch(/PPL-20% .* 32 of a batch /);
    expect(plain.stdout).toMatch(/The king said …\n\n\[dense\]\n.+\n\n\[PPL-20%/);
    const json = await sparselaw([...args, ...text, ...prompt, '--json']);
    const { evaluations } = JSON.parse(json.stdout);
    const evaluation = evaluationSchema.parse(evaluations[0]);
    expect(evaluation.generations.map(({ tokens }) => tokens)).toEqual([5, 5]);
    const files = await readdir(out);
    expect(files).toEqual([`checkpoint.evaluation.${evaluation.settingsHash}.json`]);
    expect(JSON.parse(await readFile(join(out, files[0]!), 'utf8'))).toEqual(evaluations[0]);
  });

  it('evaluates dense alone where nothing else is asked for', async () => {
    const { stdout } = await sparselaw(['evaluate', checkpoint, '--tasks', task, '--json', ...WASM]);
    const { settings, tasks } = evaluationSchema.parse(JSON.parse(stdout).evaluations[0]);
    expect(settings.map(({ label }) => label)).toEqual(['dense']);
    expect(tasks[0]!.results).toHaveLength(1);
  });

  it('evaluates the rules of fat and topk, and tells equal labels apart', async () => {
    const from = [
      await altered('fat2.json', { metric: 'fat', epsilon: 0.5, settingsHash: 'a1' }),
      await altered('topk.json', {
        metric: 'topk',
        kRatio: 0.1,
        settingsHash: 'a2',
        settings: { pool: 'token', score: 'gate' },
      }),
      measurement,
      await altered('again.json', { settingsHash: 'a3' }),
    ];
    const args = ['evaluate', checkpoint, '--tasks', task, '--from', from.join(), '--json', ...WASM];
    const { stdout } = await sparselaw(args);
    const { results } = evaluationSchema.parse(JSON.parse(stdout).evaluations[0]).tasks[0]!;
    expect(results.map(({ setting }) => setting)).toEqual([
      'dense',
      'FAT ε = 0.5',
      'top-k 10%',
      'PPL-20% #3',
      'PPL-20% #4',
    ]);
    // 8 of 80 neurons a token, less those that are exactly 0.
    expect(results[2]!.activationRatio).toBeLessThanOrEqual(0.1);
    expect(results[2]!.activationRatio).toBeGreaterThan(0.09);
    expect(results[3]!.accuracy).toEqual(results[4]!.accuracy);
  });

  it('refuses requests that make no sense, each with its status', async () => {
    const nothing = {
      tasks: [],
      prompts: [],
      maxNewTokens: 1,
      work: false,
      p: [],
      from: [],
      bos: 'auto' as const,
    };
    const wasm = { engine: 'wasm' as const, engineOptions: {} };
    const refused = (options: object, path = checkpoint) =>
      refusal(evaluateCheckpoint(path, { ...nothing, ...wasm, ...options }));
    expect(await refused({})).toEqual([2, 'nothing-to-do']);
    expect(await refused({ work: true })).toEqual([2, 'missing-flag']);
    expect(await refused({ tasks: [task], p: [1] })).toEqual([2, 'no-data']);
    expect(await refused({ prompts: [''] })).toEqual([3, 'empty-context']);
    expect(await refused({ tasks: [join(folder, 'none.jsonl')] })).toEqual([3, 'missing-file']);
    const bad = join(folder, 'bad.jsonl');
    await writeFile(bad, '{"question": "?"}\n');
    expect(await refused({ tasks: [bad] })).toEqual([3, 'unknown-task']);
    const other = await altered('other2.json', { checkpointSha256: '0'.repeat(64) });
    expect(await refused({ tasks: [task], from: [other] })).toEqual([3, 'other-checkpoint']);
    const bare = join(folder, 'bare');
    await cp(checkpoint, bare, { recursive: true });
    await rm(join(bare, 'tokenizer.json'));
    expect(await refused({ tasks: [task] }, bare)).toEqual([3, 'missing-file']);
    const aborted = AbortSignal.abort();
    expect(await refused({ tasks: [task], signal: aborted })).toEqual([6, 'interrupted']);
  });
});
