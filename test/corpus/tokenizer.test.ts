import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cutRule } from '../../src/corpus/pieces.js';
import { loadTokenizer, tokenizerFromText } from '../../src/corpus/tokenizer.js';
import { isOfKnownMake, parseTokenizer } from '../../src/corpus/tokenizer-json.js';
import { tokenizerJsonSchema } from '../../src/corpus/tokenizer-schema.js';
import { byteSymbols, trainTokenizer } from '../../src/corpus/train-tokenizer.js';

const fixtures = resolve(import.meta.dirname, '../../fixtures');
const GIVEN = join(fixtures, 'corpus/tokenizer.json');
const golden = JSON.parse(readFileSync(join(fixtures, 'corpus/tokenizer-ids.json'), 'utf8')) as {
  texts: string[];
  ids: number[][];
};
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tokenizer-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(['native', 'javascript'] as const)(
  'a tokenizer.json through the %s library',
  (implementation) => {
    it('gives the ids of the Python library, without the truncation and padding the file asks for', async () => {
      const tokenizer = await loadTokenizer(GIVEN, { implementation });
      const ids = await tokenizer.encodeBatch(golden.texts);
      expect(ids.map((row) => Array.from(row))).toEqual(golden.ids);
      expect(await tokenizer.decode(ids[1]!)).toBe(golden.texts[1]);
      expect(await tokenizer.decode(ids[2]!)).toBe(golden.texts[2]);
    });

    it('tells the token before a text, the separator and the size of the vocabulary', async () => {
      expect(await loadTokenizer(GIVEN, { implementation })).toMatchObject({
        implementation,
        vocabSize: 600,
        bosId: 0,
        separator: { token: '<|end_of_text|>', id: 1 },
        cutRule: 'space',
      });
    });
  },
);

describe('training', () => {
  const train = (vocabSize: number) =>
    trainTokenizer(join(fixtures, 'tinybooks.valid.txt'), { vocabSize, scratch: folder });

  it('puts the separator and the bytes first, and is a prefix of a larger vocabulary', async () => {
    const small = JSON.parse(await train(500));
    const large = JSON.parse(await train(2000));
    const tokens = (vocab: Record<string, number>) =>
      Object.keys(vocab).sort((a, b) => vocab[a]! - vocab[b]!);
    const byId = tokens(large.model.vocab);
    expect(byId.slice(0, 257)).toEqual(['<|endoftext|>', ...byteSymbols()]);
    expect(byId).toHaveLength(2000);
    expect(tokens(small.model.vocab)).toEqual(byId.slice(0, 500));
    expect(large.model.merges.slice(0, small.model.merges.length)).toEqual(small.model.merges);
  });

  it('encodes any bytes of UTF-8 and gives them back', async () => {
    const tokenizer = await tokenizerFromText(await train(300), 'trained');
    const text = 'The 漢字 and \u0000\u0001\ufffd 👩‍👩‍👧\r\n\t  é';
    const [ids] = await tokenizer.encodeBatch([text]);
    expect(Math.max(...ids!)).toBeLessThan(300);
    expect(await tokenizer.decode(ids!)).toBe(text);
    expect(tokenizer).toMatchObject({ cutRule: 'whitespace', bosId: undefined });
  });

  it.each([256, 30_001])('refuses a vocabulary of %d', async (vocabSize) => {
    await expect(train(vocabSize)).rejects.toMatchObject({ exitStatus: 2 });
  });

  it('stops when told to', async () => {
    const signal = AbortSignal.abort();
    const options = { vocabSize: 300, scratch: folder, signal };
    await expect(trainTokenizer(GIVEN, options)).rejects.toMatchObject({ exitStatus: 6 });
  });

  it("a file that cannot be read or written is told by the system's name of the error", async () => {
    const training = trainTokenizer(join(folder, 'gone.txt'), { vocabSize: 300, scratch: folder });
    await expect(training).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('what is no tokenizer', () => {
  it.each([
    ['no JSON', '{', /not valid JSON/],
    ['no model', '{}', /"model"/],
    ['an id that is no number', '{"model":{"type":"BPE","vocab":{"a":"b"},"merges":[]}}', /"model\.vocab/],
    ['an absurd id', '{"model":{"type":"BPE","vocab":{"a":1e12},"merges":[]}}', /"model\.vocab/],
    ['an unknown model', '{"model":{"type":"Oracle","vocab":{"a":0},"merges":[]}}', /is no tokenizer/],
    [
      'random merges',
      '{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}}',
      /dropped at random/,
    ],
    [
      'a merge of unknown parts',
      '{"model":{"type":"BPE","vocab":{"a":0},"merges":[["a","b"]]}}',
      /is no tokenizer/,
    ],
  ])('is refused in one line: %s', async (_, text, message) => {
    const path = join(folder, 'bad.json');
    writeFileSync(path, text);
    const error = await loadTokenizer(path).catch((thrown) => thrown);
    expect(error).toMatchObject({ exitStatus: 3 });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('\n');
  });

  it('is refused when its template names a token that it does not define, which would end the process', () => {
    const json = JSON.parse(readFileSync(GIVEN, 'utf8'));
    json.post_processor.special_tokens = {};
    const text = JSON.stringify({
      ...json,
      post_processor: { type: 'Sequence', processors: [json.post_processor] },
    });
    for (const broken of [JSON.stringify(json), text]) {
      expect(() => parseTokenizer(broken, 't.json')).toThrow(
        /names <\|begin_of_text\|>, which it does not define/,
      );
    }
  });

  it.each([
    ['pieces of no length', { pre_tokenizer: { type: 'FixedLength', length: 0 } }, /must be non-zero/],
    ['a prefix longer than tokens', { model: { continuing_subword_prefix: 'prefix' } }, /range|slice/],
  ])('is refused where the library would end our process: %s', async (_, change, message) => {
    const json = JSON.parse(readFileSync(GIVEN, 'utf8'));
    const model = { ...json.model, ...('model' in change ? change.model : {}) };
    const path = join(folder, 'panics.json');
    writeFileSync(path, JSON.stringify({ ...json, ...change, model }));
    const error = await loadTokenizer(path).catch((thrown) => thrown);
    expect(error).toMatchObject({ exitStatus: 3, code: 'bad-tokenizer' });
    expect(error.message).toMatch(message);
  });

  it('is told from one of an unusual make, which is run in a process of its own', async () => {
    const json = JSON.parse(readFileSync(GIVEN, 'utf8'));
    const text = JSON.stringify({ ...json, normalizer: { type: 'Lowercase' } });
    const [hosted, known] = [await tokenizerFromText(text, 't.json'), await loadTokenizer(GIVEN)];
    expect([isOfKnownMake(parseTokenizer(text, '').json), isOfKnownMake(json)]).toEqual([false, true]);
    const [ids] = await hosted.encodeBatch(['It Was A Bright Day']);
    expect([ids]).toEqual(await known.encodeBatch(['it was a bright day']));
    expect(await hosted.decode(ids!)).toBe('it was a bright day');
    hosted.close();
    await expect(hosted.encodeBatch(['a'])).rejects.toMatchObject({ exitStatus: 3 });
  });

  it('is refused when it lacks the separator asked for', async () => {
    await expect(loadTokenizer(GIVEN, { separator: '<stop>' })).rejects.toThrow(/knows no token "<stop>"/);
  });
});

describe('cutRule', () => {
  const given = JSON.parse(readFileSync(GIVEN, 'utf8'));
  const ruleOf = (changes: object) => cutRule(tokenizerJsonSchema.parse({ ...given, ...changes }));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };

  it.each([
    ['whitespace', { pre_tokenizer: byteLevel }],
    ['whitespace', { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits' }, byteLevel] } }],
    ['space', { normalizer: { type: 'NFC' } }],
    ['none', { pre_tokenizer: { ...byteLevel, add_prefix_space: true } }],
    ['none', { pre_tokenizer: { ...byteLevel, use_regex: false } }],
    ['none', { pre_tokenizer: { type: 'Metaspace' } }],
    ['none', { pre_tokenizer: null }],
    ['none', { normalizer: { type: 'Prepend' } }],
    ['none', { added_tokens: [{ id: 1, content: 'a b' }] }],
    ['none', { added_tokens: [{ id: 1, content: 'ab', rstrip: true }] }],
  ])('is %s for %j', (rule, changes) => {
    expect(ruleOf(changes)).toBe(rule);
  });
});
