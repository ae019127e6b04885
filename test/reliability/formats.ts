import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type fc from 'fast-check';
import { openForeign } from '../../src/checkpoint/foreign.js';
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
import { openShard } from '../../src/io/token-shard.js';
import { readSources } from '../../src/report/inputs.js';
import { readGridFile } from '../../src/sweep/grid-file.js';
import { root } from '../cli/cli.js';
import { mutatedBytes, mutatedJson } from './hostile.js';

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
export function formatsOf(study: string, folder: string): Format[] {
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

  const jsonFile = (
    name: string,
    source: string,
    target: string,
    read: () => Promise<unknown>,
    weight = 1,
  ): Format => {
    const bytes = readFileSync(source);
    mkdirSync(dirname(target), { recursive: true });
    const json = source.endsWith('.jsonl') ? bytes.toString().split('\n')[0]! : bytes.toString();
    return { name, path: target, mutated: [mutatedJson(json), mutatedBytes(bytes)], read, weight };
  };
  const bytesFile = (
    name: string,
    content: string | Buffer,
    target: string,
    read: () => Promise<unknown>,
    weight = 1,
  ): Format => ({
    name,
    path: target,
    mutated: [mutatedBytes(Buffer.from(content))],
    read,
    weight,
  });
  const documents = (path: string) => async () => {
    for await (const { text } of readDocuments(path, { maxExpansion: 100, textField: 'text' })) void text;
  };
  const files = { source: (name: string) => join(study, name), target: (name: string) => join(folder, name) };
  const measurement = readdirSync(join(study, 'relu/sparsity')).find((name) => name.includes('.pplp.'))!;
  const fit = files.target('fit.json');
  const text = readFileSync(join(root, 'fixtures/tinybooks.valid.txt')).subarray(0, 3000);
  const jsonl = '{"text": "It was a bright cold day"}\n{"text": "in April, \\u00e9t\\u00e9"}\n';

  return [
    jsonFile(
      'tokenizer.json',
      join(root, 'fixtures/corpus/tokenizer.json'),
      files.target('tokenizer.json'),
      async () => {
        const tokenizer = await loadTokenizer(files.target('tokenizer.json'));
        const [ids] = await tokenizer.encodeBatch(['It was a bright cold day<|endoftext|>']);
        await tokenizer.decode(ids!);
      },
      0.3,
    ),
    jsonFile(
      'config.json of a foreign model',
      join(foreign, 'config.json'),
      join(foreign, 'config.json'),
      async () => {
        const { shapes, read } = await openForeign(foreign);
        for (const name of Object.keys(shapes)) await read(name);
      },
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
    bytesFile('text in jsonl', jsonl, files.target('x.jsonl'), documents(files.target('x.jsonl'))),
    bytesFile(
      'task',
      '{"question": "2+2?", "choices": ["3", "4"], "answer": 1}\n{"question": "1+1?", "choices": ["2", "4"], "answer": 0}\n',
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
  ];
}
