import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildCorpus, type CorpusOptions } from '../../src/corpus/build.js';
import { loadTokenizer } from '../../src/corpus/tokenizer.js';
import { openTokens } from '../../src/corpus/tokens.js';
import { readManifest, type SplitName } from '../../src/files/manifest.js';

const fixtures = resolve(import.meta.dirname, '../../fixtures');
const TRAIN = join(fixtures, 'tinybooks.train.txt');
const VALID = join(fixtures, 'tinybooks.valid.txt');
const TOKENIZER = join(fixtures, 'corpus/tokenizer.json');

let folder: string;
let out: string;
let number = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'build-'));
});
beforeEach(() => {
  out = join(folder, `corpus${number++}`);
});
afterAll(() => rmSync(folder, { recursive: true }));

const build = (texts: string[], options: Partial<CorpusOptions> = {}) =>
  buildCorpus({ texts, out, vocabSize: 400, ...options });
const file = (name: string, content: string | Uint8Array) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const fiveDocuments = ['one', 'two', 'three', 'four', 'five'].map(
  (word) => `${`${word} words here. `.repeat(40)}\n`,
);
const fiveText = (documents = fiveDocuments) => documents.join('<|endoftext|>\n');

async function decoded(corpus: string, split: SplitName): Promise<string> {
  const { decode } = await loadTokenizer(join(corpus, 'tokenizer.json'));
  const source = await openTokens(corpus, split);
  const text = await decode(source.read(0, source.length));
  source.close();
  return text;
}

/** SHA-256 of every file of a folder. */
function hashes(corpus: string): Record<string, string> {
  const names = readdirSync(corpus, { recursive: true, encoding: 'utf8' }).filter((name) => /\./.test(name));
  return Object.fromEntries(
    names.sort().map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(corpus, name)))
        .digest('hex'),
    ]),
  );
}

describe('buildCorpus', () => {
  it('keeps every byte of every document, with a separator after each', async () => {
    const { manifest } = await build([TRAIN], { validationTexts: [VALID] });
    const text = readFileSync(VALID, 'utf8');
    expect(await decoded(out, 'validation')).toBe(text.replaceAll('<|endoftext|>\n', '<|endoftext|>'));
    const { train, validation } = manifest.splits;
    expect([train.documents, validation.documents]).toEqual([38, 5]);
    expect(validation.bytes).toBe(Buffer.byteLength(text) - 5 * '<|endoftext|>\n'.length);
    expect(manifest.split.method).toBe('files');
    expect(manifest.tokenizer).toMatchObject({
      vocabSize: 400,
      origin: 'trained',
      trainedOnBytes: train.bytes,
    });
    expect(await readManifest(out)).toEqual(manifest);
    const source = await openTokens(out, 'validation');
    expect(source).toMatchObject({ length: validation.tokens, vocabSize: 400, documents: 5 });
    expect(source.read(source.length - 1, 1)).toEqual(Int32Array.of(0));
    source.close();
  });

  it('writes ids equal to encoding each whole document', async () => {
    await build([VALID], { tokenizer: TOKENIZER, vocabSize: undefined, validationShare: 0 });
    const tokenizer = await loadTokenizer(TOKENIZER);
    const documents = readFileSync(VALID, 'utf8').split('<|endoftext|>\n').slice(0, -1);
    const expected = (await tokenizer.encodeBatch(documents)).flatMap((ids) => [
      ...ids,
      tokenizer.separator!.id,
    ]);
    const source = await openTokens(out, 'train');
    expect(Array.from(source.read(0, source.length))).toEqual(expected);
    source.close();
    expect(readFileSync(join(out, 'tokenizer.json'))).toEqual(readFileSync(TOKENIZER));
  });

  it('gives the same text from plain, packed and JSONL sources', async () => {
    const lines = fiveDocuments.map((text) => JSON.stringify({ body: text })).join('\n');
    const sources = [
      file('five.txt', fiveText()),
      file('five.txt.gz', gzipSync(fiveText())),
      file('five.jsonl', lines),
      file('five.ndjson.gz', gzipSync(lines)),
    ];
    const splits: unknown[] = [];
    for (const [i, source] of sources.entries()) {
      const { manifest } = await build([source], {
        out: `${out}-${i}`,
        textField: 'body',
        validationShare: 0.3,
      });
      splits.push(manifest.splits);
    }
    expect(splits).toEqual(splits.map(() => splits[0]));
  });

  it('cuts shards at a size and reads across them', async () => {
    const { manifest } = await build([VALID], { shardTokens: 10_007, validationShare: 0 });
    const { shards, tokens } = manifest.splits.train;
    expect(shards.slice(0, -1).map((shard) => shard.tokens)).toEqual(shards.slice(1).map(() => 10_007));
    const source = await openTokens(out, 'train');
    const all = source.read(0, tokens);
    expect(source.read(10_000, 20_030)).toEqual(all.slice(10_000, 30_030));
    expect(() => source.read(tokens - 1, 2)).toThrow(RangeError);
    source.close();
    await build([VALID], { out: `${out}-one`, validationShare: 0 });
    const one = await openTokens(`${out}-one`, 'train');
    expect(one.read(0, tokens)).toEqual(all);
    one.close();
  });

  it('writes the same bytes again, and nothing at all where they are', async () => {
    const options = { validationShare: 0.2, licence: 'public domain' };
    const first = await build([VALID], options);
    await build([VALID], { ...options, out: `${out}-again` });
    expect(hashes(`${out}-again`)).toEqual(hashes(out));
    expect(first.isReused).toBe(false);
    expect((await build([VALID], options)).isReused).toBe(true);
  });

  it('replaces another corpus only when told to, and anything else never', async () => {
    const text = file('other.txt', fiveText());
    await build([text]);
    await expect(build([text], { seed: 1 })).rejects.toMatchObject({ code: 'exists', exitStatus: 3 });
    expect((await readManifest(out)).split.seed).toBe(0);
    await build([text], { seed: 1, force: true });
    expect((await readManifest(out)).split.seed).toBe(1);
    writeFileSync(join(out, 'notes.md'), 'mine');
    await expect(build([text], { seed: 2, force: true })).rejects.toThrow(/is no corpus: it holds notes\.md/);
    expect(existsSync(join(out, 'notes.md'))).toBe(true);
  });

  it('leaves nothing when it is stopped', async () => {
    const controller = new AbortController();
    const stop = build([TRAIN], {
      signal: controller.signal,
      onProgress: ({ task }) => task === 'encode' && controller.abort(),
    });
    await expect(stop).rejects.toMatchObject({ code: 'interrupted', exitStatus: 6 });
    expect(readdirSync(folder).filter((name) => name.includes(`corpus${number - 1}`))).toEqual([]);
  });
});

describe('the split', () => {
  const texts = Array.from({ length: 60 }, (_, i) => `document ${i} ${'and so on '.repeat(20)}\n`);
  const validationOf = async (documents: string[], options: Partial<CorpusOptions> = {}) => {
    const source = file('split.txt', fiveText(documents));
    await build([source], { out: `${out}-${number++}`, validationShare: 0.3, vocabSize: 300, ...options });
    return (await decoded(`${out}-${number - 1}`, 'validation')).split('<|endoftext|>').slice(0, -1);
  };

  it('moves no document when others are added, removed or reordered', async () => {
    const all = await validationOf(texts);
    expect(all.length).toBeGreaterThan(8);
    expect(all.length).toBeLessThan(30);
    const half = texts.filter((_, i) => i % 2 === 0).reverse();
    expect(new Set(await validationOf(half))).toEqual(new Set(all.filter((text) => half.includes(text))));
    expect(await validationOf([...texts, ...texts])).toEqual([...all, ...all]);
    expect(await validationOf(texts, { seed: 1 })).not.toEqual(all);
  });

  it('leaves neither side empty', async () => {
    expect(await validationOf(texts, { validationShare: 1e-9 })).toHaveLength(1);
    expect(await validationOf(texts.slice(0, 2), { validationShare: 0.9 })).toHaveLength(1);
    expect(await validationOf(texts, { validationShare: 0 })).toHaveLength(0);
  });

  it('of a single document is by position, and said to be', async () => {
    const text = readFileSync(VALID, 'utf8').replaceAll('<|endoftext|>\n', '');
    const { manifest, notices } = await build([file('single.txt', text)], { validationShare: 0.1 });
    expect(manifest.split.method).toBe('position');
    expect(notices[0]).toMatch(/one document: its last 10 % is the validation text/);
    const { train, validation } = manifest.splits;
    expect(train.bytes + validation.bytes).toBe(Buffer.byteLength(text));
    expect(validation.bytes / Buffer.byteLength(text)).toBeCloseTo(0.1, 2);
    const both = (await decoded(out, 'train')) + (await decoded(out, 'validation'));
    expect(both.replaceAll('<|endoftext|>', '')).toBe(text);
    await expect(build([file('word.txt', 'word')], { out: `${out}-word` })).rejects.toThrow(
      /too short to cut/,
    );
  });
});

describe('bad input', () => {
  it.each([
    ['a missing file', () => 'absent.txt', /Cannot read absent\.txt: there is no such file/],
    ['a folder', () => folder, /it is a folder/],
    ['an empty file', () => file('empty.txt', ''), /empty\.txt holds no text/],
    [
      'separators only',
      () => file('separators.txt', '<|endoftext|>\n<|endoftext|>\n'),
      /separators\.txt holds no text/,
    ],
    [
      'Latin-1',
      () => file('latin.txt', Buffer.from('caf\u00e9', 'latin1')),
      /latin\.txt is not UTF-8 text: bad byte at offset 3, line 1/,
    ],
  ])('%s is named, and nothing is written', async (_, source, message) => {
    const error = await build([source()]).catch((thrown) => thrown);
    expect(error).toMatchObject({ exitStatus: 3 });
    expect(error.message).toMatch(message);
    expect(existsSync(out)).toBe(false);
  });

  it('says when the text is too small for the vocabulary', async () => {
    const { manifest, notices } = await build([file('few.txt', fiveText())], { vocabSize: 5000 });
    expect(manifest.tokenizer.vocabSize).toBeLessThan(400);
    expect(notices.join()).toMatch(/too few distinct words for 5000 tokens/);
  });
});

describe('a damaged corpus', () => {
  let made: string;
  beforeAll(async () => {
    made = join(folder, 'made');
    await buildCorpus({ texts: [VALID], out: made, tokenizer: TOKENIZER, validationShare: 0.3 });
  });
  const damage = (name: string, change: (bytes: Buffer) => Uint8Array) => {
    for (const part of ['manifest.json', 'tokenizer.json', 'train/00000.bin', 'validation/00000.bin']) {
      mkdirSync(join(out, part, '..'), { recursive: true });
      copyFileSync(join(made, part), join(out, part));
    }
    writeFileSync(join(out, name), change(readFileSync(join(out, name))));
    return openTokens(out, 'train').then((source) => source.close());
  };
  const flip = (at: number) => (bytes: Buffer) => {
    bytes[at < 0 ? bytes.length + at : at]! ^= 1;
    return bytes;
  };

  it.each([
    ['train/00000.bin', flip(-1), /train\/00000\.bin is not a whole token shard: its bytes do not match/],
    ['train/00000.bin', flip(9), /train\/00000\.bin is not a whole token shard: its version is 257/],
    ['train/00000.bin', (bytes: Buffer) => bytes.subarray(0, 1000), /the file holds 468/],
    ['tokenizer.json', flip(100), /tokenizer\.json is not the tokenizer that manifest\.json lists/],
    [
      'manifest.json',
      (bytes: Buffer) => Buffer.from(bytes.toString().replace('"seed": 0', '"seed": 1')),
      /manifest\.json was changed/,
    ],
    [
      'manifest.json',
      (bytes: Buffer) => Buffer.from(bytes.toString().replace('train/0', '../../0')),
      /no name of a shard/,
    ],
    ['manifest.json', (bytes: Buffer) => bytes.subarray(0, 100), /manifest\.json is not valid JSON at line/],
  ])('is not opened: %s', async (name, change, message) => {
    const error = await damage(name, change).catch((thrown) => thrown);
    expect(error).toMatchObject({ exitStatus: 3 });
    expect(error.message).toMatch(message);
  });

  it('is not taken from another corpus', async () => {
    const other = join(made, 'validation/00000.bin');
    await expect(damage('train/00000.bin', () => readFileSync(other))).rejects.toThrow(
      /is not the shard that/,
    );
  });
});
