import {
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { profileSchema } from '../../src/files/profile.js';
import { sparsitySchema } from '../../src/files/sparsity.js';
import { readCsv } from '../../src/io/csv.js';
import { readFloatTensors, writeSafetensors } from '../../src/io/safetensors.js';
import type { Outcome } from '../cli/cli.js';
import { sparselawHere } from '../cli/in-process.js';
import { WITHOUT_PLUGIN } from '../engine/xla/with-xla.js';
import { type SyntheticSizes, writeSyntheticLlama } from '../sparsity/synthetic-llama.js';

const sparselaw = (...args: string[]) => sparselawHere(args);

/** The message of a failed command, which a terminal would wrap. */
const messageOf = ({ stdout }: Outcome): string => JSON.parse(stdout).error.message;

/** Fast enough everywhere, at the price of a meaningless model. */
const TINY = ['--layers', '1', '--width', '16', '--ff', '24', '--heads', '2', '--seq-len', '16'];
const QUICK = ['--tokens', '128', '--engine', 'wasm', '--quiet'];

let folder: string;
let run: string;
let checkpoint: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-measure-'));
  run = join(folder, 'run');
  const corpus = join(folder, 'corpus');
  await sparselaw(
    'corpus',
    'build',
    'fixtures/tinybooks.valid.txt',
    '--out',
    corpus,
    '--vocab-size',
    '300',
    '-q',
  );
  const trained = await sparselaw(
    ...['train', '--data', corpus, '--out', run, ...TINY, '--tokens', '512', '--batch-tokens', '128'],
    ...['--checkpoints', 'every:256', '--engine', 'wasm', '-q'],
  );
  expect(trained.stderr).toBe('');
  const name = (await readdir(join(run, 'checkpoints'))).sort().at(-1);
  checkpoint = join(run, 'checkpoints', name!);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('measure', () => {
  it('writes one file a metric, stamps the run and reuses what is there', async () => {
    const args = ['measure', run, '--metric', 'zero,cett', '--cett', '0.3', ...QUICK, '--json'];
    const first = await sparselaw(...args);
    expect(first.status).toBe(0);
    const { measurements } = JSON.parse(first.stdout) as { measurements: unknown[] };
    expect(measurements.map((m) => sparsitySchema.parse(m).metric)).toEqual(['zero', 'cett', 'zero', 'cett']);
    const files = (await readdir(join(run, 'sparsity'))).filter((name) => name.endsWith('.json'));
    expect(files.length).toBe(4);
    expect(await readdir(join(run, 'sparsity'))).toContain('DONE');
    const again = await sparselaw(...args);
    expect(JSON.parse(again.stdout)).toEqual(JSON.parse(first.stdout));
  });

  it('writes profiles beside a measurement, described, and only once', async () => {
    const out = join(folder, 'profiles');
    const args = [
      ...['measure', checkpoint, '--metric', 'cett', '--cett', '0.2,0.3', '--out', out, ...QUICK, '--json'],
      ...['--profile', 'neurons,positions'],
    ];
    const [csv, parquet] = [await sparselaw(...args, '--profile-format', 'csv'), await sparselaw(...args)];
    const { profiles, measurements } = JSON.parse(parquet.stdout);
    expect(JSON.parse(csv.stdout).measurements).toEqual(measurements);
    // Two settings, two profiles each.
    expect(profiles.length).toBe(4);
    const path: string = profiles[0];
    const bytes = await readFile(path);
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const [rows, described] = [
      (await parquetReadObjects({ file })) as Record<string, unknown>[],
      profileSchema.parse(JSON.parse(await readFile(`${path}.schema.json`, 'utf8'))),
    ];
    expect(described.settingsHash).toBe(measurements[0].settingsHash);
    expect(Object.keys(rows[0]!)).toEqual(described.columns.map(({ name }) => name));
    const text = await readCsv(path.replace(/parquet$/, 'csv'));
    expect(text.rows.map((row) => Number(row.frequency))).toEqual(rows.map((row) => row.frequency));
    const again = await sparselaw(...args);
    expect(JSON.parse(again.stdout)).toEqual(JSON.parse(parquet.stdout));
    // A foreign or single checkpoint without a folder has nowhere to put them.
    const foreign = join(folder, 'unplaced');
    await mkdir(foreign);
    for (const name of ['config.json', 'model.safetensors', 'tokenizer.json']) {
      await copyFile(join(checkpoint, name), join(foreign, name));
    }
    const text2 = ['--text', 'fixtures/tinybooks.valid.txt', '--seq-len', '16'];
    const refused = await sparselaw('measure', foreign, ...text2, ...QUICK, '--profile', 'neurons', '--json');
    expect(refused.status).toBe(2);
    expect(messageOf(refused)).toContain('Nowhere to write the profiles');
  });

  it.skipIf(WITHOUT_PLUGIN)('writes the texts of its programs with --dump-program', async () => {
    const dumps = join(folder, 'programs/of/measure');
    const { status } = await sparselaw(
      ...[
        'measure',
        checkpoint,
        '--metric',
        'zero',
        '--out',
        join(folder, 'dumped'),
        '--tokens',
        '128',
        '-q',
      ],
      ...['--engine', 'xla', '--device', 'cpu', '--dump-program', dumps],
    );
    expect(status).toBe(0);
    const names = await readdir(dumps);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(await readFile(join(dumps, name), 'utf8')).toMatch(/^module @/);
  });

  it('says where --dump-program cannot write, and with which engine it has no texts', async () => {
    const dumpInto = (dir: string, ...flags: string[]) =>
      sparselaw(
        ...['measure', checkpoint, '--metric', 'zero', '--out', join(folder, 'undumped'), '--tokens', '128'],
        ...['--engine', 'wasm', '--dump-program', dir, ...flags],
      );
    const refused = await dumpInto(join(checkpoint, 'config.json'), '--json');
    expect([refused.status, messageOf(refused)]).toEqual([
      3,
      `Cannot write ${join(checkpoint, 'config.json')}: something of that name is in the way.`,
    ]);
    const empty = join(folder, 'empty');
    const { status, stderr } = await dumpInto(empty);
    expect(stderr.replace(/\s+(› +)?/g, ' ')).toContain('The engine wasm has no program texts;');
    expect([status, await readdir(empty)]).toEqual([0, []]);
  });

  it('refuses a negative p with status 2 and a missing target with 3', async () => {
    expect(await sparselaw('measure', run, '--p', '-1', ...QUICK)).toMatchObject({ status: 2 });
    const missing = await sparselaw('measure', join(folder, 'nowhere'), ...QUICK, '--json');
    expect(missing.status).toBe(3);
    expect(JSON.parse(missing.stdout).error.code).toBe('missing-file');
  });

  it('says which engine runs, and that a search has no interior answer', async () => {
    const args = [
      '--p',
      '1e9',
      '--tokens',
      '128',
      '--engine',
      'wasm',
      '--out',
      join(folder, 'bound'),
      '--json',
    ];
    const ended = await sparselaw('measure', checkpoint, ...args);
    expect(ended.status).toBe(0);
    expect(ended.stderr).toMatch(/^wasm \(float32\) on .+$/m);
    expect(ended.stderr).toContain('no interior answer for p = 1000000000 %: the search ended at CETT 1.');
    const [measurement] = JSON.parse(ended.stdout).measurements;
    expect(sparsitySchema.parse(measurement)).toMatchObject({ status: 'at-bound', cett: 1 });
  });

  it('refuses a text shorter than a window', async () => {
    const text = join(folder, 'short.txt');
    await writeFile(text, 'too short');
    const ended = await sparselaw(
      'measure',
      checkpoint,
      '--text',
      text,
      '--out',
      join(folder, 'o'),
      ...QUICK,
      '--json',
    );
    expect(ended.status).toBe(3);
    expect(messageOf(ended)).toContain('short.txt');
  });

  it('names the file and the tensor of damaged weights', async () => {
    const path = join(checkpoint, 'model.safetensors');
    const whole = await readFile(path);
    const tensors = await readFloatTensors(path);
    const name = 'model.layers.0.mlp.down_proj.weight';
    tensors.get(name)!.data[3] = Number.NaN;
    await writeSafetensors(path, new Map([...tensors].map(([key, t]) => [key, { ...t, dtype: 'F32' }])));
    const nan = await sparselaw('measure', checkpoint, '--metric', 'zero', ...QUICK, '--json');
    expect(nan.status).toBe(3);
    expect(messageOf(nan)).toContain(name);
    expect(messageOf(nan)).toContain('model.safetensors');
    await truncate(path, whole.length - 100);
    const cut = await sparselaw('measure', checkpoint, '--metric', 'zero', ...QUICK, '--json');
    expect(cut.status).toBe(3);
    expect(messageOf(cut)).toContain('model.safetensors');
    await writeFile(path, whole);
  });

  describe('a foreign folder', () => {
    const text = ['--text', 'fixtures/tinybooks.valid.txt', '--metric', 'zero', '--seq-len', '16'];
    let model: string;
    const refused = async (sizes: Partial<SyntheticSizes>, change: (file: string) => Promise<void>) => {
      await writeSyntheticLlama(model, { layers: 1, width: 32, ff: 48, vocab: 300, ...sizes });
      await change(join(model, 'model.safetensors'));
      const before = await readdir(model);
      const ended = await sparselaw('measure', model, ...text, ...QUICK, '--json');
      expect(await readdir(model)).toEqual(before);
      const message = messageOf(ended);
      expect(message).not.toContain('\n');
      return { status: ended.status, message };
    };
    beforeEach(async () => {
      model = await mkdtemp(join(folder, 'foreign-'));
      await copyFile(join(checkpoint, 'tokenizer.json'), join(model, 'tokenizer.json'));
    });

    it('whose header lies: file and tensor', async () => {
      const { status, message } = await refused({}, async (file) => {
        const bytes = await readFile(file, 'latin1');
        // As many bytes, another shape.
        await writeFile(file, bytes.replace('"shape":[48,32]', '"shape":[32,48]'), 'latin1');
      });
      expect(status).toBe(3);
      expect(message).toContain('model.safetensors');
      expect(message).toContain('model.layers.0.mlp.gate_proj.weight');
    });

    it('whose shard is missing: the file', async () => {
      const { status, message } = await refused({}, async (file) => {
        const names = [...(await readFloatTensors(file)).keys()];
        await rename(file, join(model, 'model-00001-of-00002.safetensors'));
        const shardOf = (i: number) => `model-0000${i === 3 ? 2 : 1}-of-00002.safetensors`;
        const weight_map = Object.fromEntries(names.map((name, i) => [name, shardOf(i)]));
        await writeFile(join(model, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
      });
      expect(status).toBe(3);
      expect(message).toContain('model-00002-of-00002.safetensors is missing');
    });

    it('whose tokenizer gives ids that the embedding has not: file, id and size', async () => {
      const { status, message } = await refused({ vocab: 64 }, async () => {});
      expect(status).toBe(3);
      expect(message).toMatch(
        /tokenizer\.json gives the token id \d+, but the model's vocabulary has 64 entries/,
      );
    });

    it('too large for the memory that is free: its size, before its weights are read', async () => {
      // Three times the memory there is: to read or to hash it would take minutes.
      const layers = Math.ceil((3 * totalmem()) / 4 / 1e9);
      const sizes = { layers, width: 8192, ff: 32768, vocab: 512 };
      const { status, message } = await refused({}, async () => {
        await writeSyntheticLlama(model, sizes, true);
      });
      expect(status).toBe(4);
      expect(message).toMatch(/its weights take \d[\d.e+]* GB in float32, but .* has \d[\d.e+]* GB free\.$/);
    });
  });

  it('measures a checkpoint of ours that lies outside of a run', async () => {
    const alone = join(folder, 'alone');
    await cp(checkpoint, alone, { recursive: true });
    const out = join(folder, 'alone-measured');
    const args = ['--metric', 'zero', '--data', join(folder, 'corpus'), ...QUICK, '--json'];
    const found = await sparselaw('measure', alone, '--out', out, ...args);
    expect(found.status, found.stdout).toBe(0);
    const [copy] = JSON.parse(found.stdout).measurements;
    const [own] = JSON.parse((await sparselaw('measure', checkpoint, ...args)).stdout).measurements;
    expect(copy).toMatchObject({ runId: null, tokens: own.tokens, step: own.step, data: own.data });
    expect(copy.activationRatio).toBe(own.activationRatio);
    expect(await readdir(out)).toHaveLength(1);
    const nothing = await sparselaw('measure', alone, '--metric', 'zero', ...QUICK, '--json');
    expect(nothing.status).toBe(2);
    expect(messageOf(nothing)).toMatch(/Nothing to measure .*alone on/);
  });

  it('measures the same weights as a foreign folder, placed by a series', async () => {
    const foreign = join(folder, 'step-9');
    await mkdir(foreign);
    for (const name of ['model.safetensors', 'tokenizer.json']) {
      await copyFile(join(checkpoint, name), join(foreign, name));
    }
    const { sparselaw: _, ...config } = JSON.parse(await readFile(join(checkpoint, 'config.json'), 'utf8'));
    await writeFile(join(foreign, 'config.json'), JSON.stringify(config));
    const series = join(folder, 'series.csv');
    await writeFile(series, 'checkpoint,run_id,tokens,step\nstep-9,theirs,4096,9\n');
    const text = [
      '--text',
      'fixtures/tinybooks.valid.txt',
      '--seq-len',
      '16',
      '--metric',
      'zero,fat',
      '--epsilon',
      '0.01',
    ];
    const theirs = await sparselaw('measure', foreign, ...text, '--series', series, ...QUICK, '--json');
    const ours = await sparselaw(
      'measure',
      checkpoint,
      ...text,
      '--out',
      join(folder, 'ours'),
      ...QUICK,
      '--json',
    );
    const [found] = JSON.parse(theirs.stdout).measurements;
    expect(found).toMatchObject({ runId: 'theirs', tokens: 4096, step: 9, checkpoint: 'step-9' });
    expect(found.model.family).toBe('llama');
    const figures = ({ stdout }: Outcome) =>
      JSON.parse(stdout).measurements.map((m: { layers: unknown; loss: unknown }) => [m.layers, m.loss]);
    expect(figures(theirs)).toEqual(figures(ours));
    expect(await readdir(foreign)).toHaveLength(3);
  });

  it("shares one CETT value in the authors' protocol, and searches one a checkpoint without", async () => {
    const args = [
      'measure',
      run,
      '--protocol',
      'paper',
      '--p',
      '0.01',
      '--tolerance',
      '0.02',
      ...QUICK,
      '--json',
    ];
    const values = async (...more: string[]) => {
      const { stdout } = await sparselaw(...args, ...more);
      return JSON.parse(stdout).measurements.map((m: unknown) => sparsitySchema.parse(m));
    };
    const shared = await values('--shared-cett', 'last:1');
    const alone = await values();
    expect(shared[0].cett).toBe(shared[1].cett);
    // The last checkpoint is the group: its own search gives the same value.
    expect(alone[1].cett).toBe(shared[1].cett);
    expect(shared[0].protocol).toBe('paper');
    expect(shared[0].settingsHash).not.toBe(alone[0].settingsHash);
    expect((await sparselaw(...args, '--shared-cett', 'first:2')).status).toBe(2);
  });
});
