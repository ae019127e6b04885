import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type fc from 'fast-check';
import { openForeign, weightFiles } from '../../src/checkpoint/foreign.js';
import { readOwnShape } from '../../src/checkpoint/hugging-face.js';
import { readTrainingState } from '../../src/checkpoint/read.js';
import { verifyCheckpoint } from '../../src/checkpoint/verify.js';
import { readConfigFile } from '../../src/config/file.js';
import { resolveConfig } from '../../src/config.js';
import { readDocuments } from '../../src/corpus/documents.js';
import { loadTokenizer } from '../../src/corpus/tokenizer.js';
import { openTokens } from '../../src/corpus/tokens.js';
import { readTask } from '../../src/downstream/tasks.js';
import { fitFileSchema } from '../../src/files/fit.js';
import { metricsRowSchema } from '../../src/files/run.js';
import { sparsitySchema } from '../../src/files/sparsity.js';
import { readSeries } from '../../src/fit/read-series.js';
import { readCsv } from '../../src/io/csv.js';
import { readJson } from '../../src/io/json.js';
import { readJsonl } from '../../src/io/jsonl.js';
import { lockHolder } from '../../src/io/lock.js';
import { openShard } from '../../src/io/token-shard.js';
import { readSources } from '../../src/report/inputs.js';
import { readGridFile } from '../../src/sweep/grid-file.js';
import { sweepStatus } from '../../src/sweep/status.js';
import { emptyStatus, readStatus, writeStatus } from '../../src/sweep/status-file.js';
import { readSweep, writeSweep } from '../../src/sweep/sweep-file.js';
import { root } from '../cli/cli.js';
import { mutatedBytes, mutatedJson } from './hostile.js';
import { OTHER_TOKENIZERS } from './tokenizers.js';

/** One kind of file that strangers may hand us, and every reader that meets it. */
export interface Format {
  name: string;
  /** Where the mutated file is put. */
  path: string;
  mutated: fc.Arbitrary<Buffer>[];
  read(): Promise<unknown>;
  /** Relative number of files; readers that start a process or read much get fewer. */
  weight: number;
}

/** @param study a folder with a corpus, the trained and measured run `relu` and its table, see `prepareTable` */
export async function formatsOf(study: string, folder: string): Promise<Format[]> {
  const corpus = join(folder, 'corpus');
  const checkpoints = join(study, 'relu/checkpoints');
  const last = readdirSync(checkpoints).at(-1)!;
  const checkpoint = join(folder, last);
  const foreign = join(folder, 'foreign');
  const run = join(folder, 'relu');
  cpSync(join(study, 'corpus'), corpus, { recursive: true });
  cpSync(join(checkpoints, last), checkpoint, { recursive: true });
  cpSync(join(root, 'fixtures/parity/families/llama'), foreign, { recursive: true });
  cpSync(join(study, 'relu'), run, { recursive: true });
  const sweep = join(folder, 'sweep');
  await writeOneSweep(sweep);
  const readForeign = async () => {
    const { shapes, read } = await openForeign(foreign);
    for (const name of Object.keys(shapes)) await read(name);
  };

  const jsonFile = (
    name: string,
    source: string,
    target: string,
    read: () => Promise<unknown>,
    weight = 1,
  ): Format => {
    const bytes = readFileSync(source);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, bytes);
    const json = source.endsWith('.jsonl') ? bytes.toString().split('\n')[0]! : bytes.toString();
    return { name, path: target, mutated: [mutatedJson(json), mutatedBytes(bytes)], read, weight };
  };
  const bytesFile = (
    name: string,
    content: string | Buffer,
    target: string,
    read: () => Promise<unknown>,
    weight = 1,
  ): Format => {
    writeFileSync(target, content);
    return { name, path: target, mutated: [mutatedBytes(Buffer.from(content))], read, weight };
  };
  const documents = (path: string) => async () => {
    for await (const { text } of readDocuments(path, { maxExpansion: 100, textField: 'text' })) void text;
  };
  const files = { source: (name: string) => join(study, name), target: (name: string) => join(folder, name) };
  const measurement = readdirSync(join(study, 'relu/sparsity')).find((name) => name.includes('.pplp.'))!;
  const fit = files.target('fit.json');
  const text = readFileSync(join(root, 'fixtures/tinybooks.valid.txt')).subarray(0, 3000);
  const jsonl = '{"text": "It was a bright cold day"}\n{"text": "in April, \\u00e9t\\u00e9"}\n';

  const readTokenizer = async () => {
    const tokenizer = await loadTokenizer(files.target('tokenizer.json'));
    const [ids] = await tokenizer.encodeBatch(['It was a bright cold day<|endoftext|>']);
    await tokenizer.decode(ids!).finally(tokenizer.close);
  };

  return [
    jsonFile(
      'tokenizer.json',
      join(root, 'fixtures/corpus/tokenizer.json'),
      files.target('tokenizer.json'),
      readTokenizer,
      0.1,
    ),
    {
      name: 'tokenizer.json of other makes',
      path: files.target('tokenizer.json'),
      mutated: OTHER_TOKENIZERS.map((json) => mutatedJson(JSON.stringify(json))),
      read: readTokenizer,
      weight: 0.05,
    },
    jsonFile(
      'config.json of a foreign model',
      join(foreign, 'config.json'),
      join(foreign, 'config.json'),
      readForeign,
    ),
    jsonFile(
      'config.json of a checkpoint',
      join(checkpoint, 'config.json'),
      join(checkpoint, 'config.json'),
      () => readOwnShape(join(checkpoint, 'config.json')),
    ),
    jsonFile(
      'state.json',
      join(checkpoint, 'state.json'),
      join(checkpoint, 'state.json'),
      async () => {
        await verifyCheckpoint(checkpoint);
        await readTrainingState(
          checkpoint,
          await readOwnShape(join(study, 'relu/checkpoints', last, 'config.json')),
        );
      },
      0.5,
    ),
    bytesFile(
      'token shard',
      readFileSync(join(corpus, 'validation/00000.bin')),
      join(corpus, 'validation/00000.bin'),
      async () => openShard(join(corpus, 'validation/00000.bin')).close(),
    ),
    jsonFile('manifest.json', join(corpus, 'manifest.json'), join(corpus, 'manifest.json'), async () =>
      (await openTokens(corpus, 'train')).close(),
    ),
    jsonFile('metrics.jsonl', files.source('relu/metrics.jsonl'), files.target('m.jsonl'), () =>
      readJsonl(files.target('m.jsonl'), metricsRowSchema),
    ),
    jsonFile(
      'measurement',
      files.source(`relu/sparsity/${measurement}`),
      join(run, 'sparsity', measurement),
      async () => {
        await readJson(join(run, 'sparsity', measurement), sparsitySchema);
        await readSources([run]);
      },
      0.3,
    ),
    jsonFile(
      'provenance.json',
      files.source('relu/provenance.json'),
      join(run, 'provenance.json'),
      () => readSources([run]),
      0.3,
    ),
    jsonFile('config.json of a run', files.source('relu/config.json'), join(run, 'config.json'), async () => {
      resolveConfig({
        file: await readConfigFile(join(run, 'config.json')),
        flags: { data: 'corpus' },
        corpusVocabSize: 32,
      });
    }),
    jsonFile('fit.json', files.source('fit.json'), fit, async () => {
      await readJson(fit, fitFileSchema);
      await readSources([fit]);
    }),
    bytesFile(
      'configuration in YAML',
      'layers: 2\nwidth: 32\nheads: 2\nactivation: relu\ncheckpoints: log:1k..8k:4\nmup:\n  widthBase: 8\n',
      files.target('c.yaml'),
      async () => {
        resolveConfig({
          file: await readConfigFile(files.target('c.yaml')),
          flags: { data: 'corpus' },
          corpusVocabSize: 32,
        });
      },
    ),
    bytesFile(
      'grid in YAML',
      readFileSync(join(root, 'fixtures/sweep/grid.yaml')),
      files.target('g.yaml'),
      () => readGridFile(files.target('g.yaml')),
    ),
    bytesFile('table in CSV', readFileSync(files.source('made.csv')), files.target('t.csv'), async () => {
      await readCsv(files.target('t.csv'));
      await readSeries(files.target('t.csv'), { positiveX: true });
      await readSources([files.target('t.csv')]);
    }),
    bytesFile(
      'table in Parquet',
      readFileSync(files.source('made.parquet')),
      files.target('t.parquet'),
      () => readSeries(files.target('t.parquet'), { positiveX: true }),
      0.5,
    ),
    bytesFile('plain text', text, files.target('x.txt'), documents(files.target('x.txt'))),
    bytesFile('text in gzip', gzipSync(text), files.target('x.txt.gz'), documents(files.target('x.txt.gz'))),
    bytesFile(
      'text in xz',
      execFileSync('xz', ['--stdout'], { input: text }),
      files.target('x.txt.xz'),
      documents(files.target('x.txt.xz')),
      0.1,
    ),
    bytesFile('text in jsonl', jsonl, files.target('x.jsonl'), documents(files.target('x.jsonl'))),
    bytesFile(
      'task',
      '{"context": "2+2?", "choices": ["3", "4"], "label": 1}\n{"context": "1+1?", "choices": ["2", "4"], "label": 0}\n',
      files.target('task.jsonl'),
      () => readTask(files.target('task.jsonl')),
    ),
    bytesFile(
      'safetensors',
      readFileSync(join(checkpoint, 'model.safetensors')),
      join(checkpoint, 'model.safetensors'),
      () => verifyCheckpoint(checkpoint),
      0.3,
    ),
    {
      name: 'index of shards',
      path: join(foreign, 'model.safetensors.index.json'),
      mutated: [mutatedJson('{"metadata": {"total_size": 8}, "weight_map": {"a": "model.safetensors"}}')],
      read: () => weightFiles(foreign),
      weight: 1,
    },
    bytesFile(
      'foreign safetensors',
      readFileSync(join(foreign, 'model.safetensors')),
      join(foreign, 'model.safetensors'),
      readForeign,
      0.5,
    ),
    jsonFile('sweep.json', join(sweep, 'sweep.json'), join(sweep, 'sweep.json'), async () => {
      await sweepStatus(sweep, await readSweep(sweep));
    }),
    jsonFile('status of a run', join(sweep, 'status/one.json'), join(sweep, 'status/one.json'), () =>
      readStatus(sweep, 'one'),
    ),
    {
      name: 'lock',
      path: join(sweep, 'status/one.lock'),
      mutated: [mutatedJson('{"id":"0","pid":1,"host":"h","boot":null,"processStart":null}')],
      read: () => lockHolder(join(sweep, 'status/one.lock')),
      weight: 1,
    },
  ];
}

/** A sweep of one run, as `sweep run` leaves it. */
async function writeOneSweep(sweep: string): Promise<void> {
  const config = resolveConfig({
    file: await readConfigFile(join(sweep, '../relu/config.json')),
    flags: { data: 'corpus' },
    corpusVocabSize: 32,
  });
  const grid = { path: 'grid.yaml', sha256: '0' };
  const given = { schemaVersion: 1 as const, grid, folder: '.', measure: [], runs: [{ id: 'one', config }] };
  await writeSweep(sweep, { table: undefined, fit: undefined, report: undefined, ...given } as never);
  await writeStatus(sweep, { ...emptyStatus('one'), reason: { code: 'c', message: 'm', exitStatus: 4 } });
}
