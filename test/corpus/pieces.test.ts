import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PieceCutter } from '../../src/corpus/pieces.js';
import { loadTokenizer, type Tokenizer, tokenizerFromText } from '../../src/corpus/tokenizer.js';
import { trainTokenizer } from '../../src/corpus/train-tokenizer.js';

const fixtures = resolve(import.meta.dirname, '../../fixtures');
const book = readFileSync(join(fixtures, 'tinybooks.valid.txt'), 'utf8');
let folder: string;
const tokenizers: Record<string, Tokenizer> = {};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pieces-'));
  const text = await trainTokenizer(join(fixtures, 'tinybooks.valid.txt'), {
    vocabSize: 1500,
    scratch: folder,
  });
  tokenizers.trained = await tokenizerFromText(text, 'trained');
  tokenizers.given = await loadTokenizer(join(fixtures, 'corpus/tokenizer.json'));
});
afterAll(() => rm(folder, { recursive: true }));

function cut(text: string, tokenizer: Tokenizer, size: number, partLength = text.length): string[] {
  const cutter = new PieceCutter(tokenizer.cutRule, size);
  const pieces: string[] = [];
  for (let i = 0; i < text.length; i += partLength)
    pieces.push(...cutter.push(text.slice(i, i + partLength)));
  return [...pieces, ...cutter.end()];
}

async function expectSameIds(text: string, tokenizer: Tokenizer, pieces: string[]): Promise<void> {
  const [whole] = await tokenizer.encodeBatch([text]);
  const parts = await tokenizer.encodeBatch(pieces);
  expect(parts.flatMap((ids) => Array.from(ids))).toEqual(Array.from(whole!));
}

describe.each(['trained', 'given'])('pieces of the %s tokenizer', (name) => {
  it('encode to the ids of the whole document', async () => {
    const tokenizer = tokenizers[name]!;
    for (const size of [20_000, 50]) {
      const pieces = cut(book, tokenizer, size, 7777);
      expect(pieces.length).toBeGreaterThan(book.length / size / 2);
      expect(pieces.join('')).toBe(book);
      await expectSameIds(book, tokenizer, pieces);
    }
  });

  it('also for texts made to mislead', async () => {
    const tokenizer = tokenizers[name]!;
    const bit = fc.constantFrom(
      ...[
        "'s",
        "'LL",
        ' ',
        '  ',
        '\n',
        '\r\n',
        '\t',
        '\u00a0',
        '\u3000',
        '\u2028',
        '.',
        '...',
        '"',
        'a',
        'the',
        'É',
      ],
      ...[
        '\u0301',
        '漢',
        '1',
        '123456',
        '👩‍👩‍👧',
        '\u200b',
        '\ufeff',
        '\u0000',
        '<|endoftext|>',
        '<|end_of_text|>',
        '<|',
      ],
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(bit, { maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        async (bits, size) => {
          const text = bits.join('');
          await expectSameIds(text, tokenizer, cut(text, tokenizer, size, 11));
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('PieceCutter', () => {
  it('does not depend on the parts a document comes in', () => {
    const text = book.slice(0, 5000);
    expect(cut(text, tokenizers.trained!, 100, 13)).toEqual(cut(text, tokenizers.trained!, 100));
  });

  it('cuts a run without a space at 2^20 characters, not through one', () => {
    const run = `a${'👩'.repeat(2 ** 20)}`;
    const pieces = cut(run, tokenizers.trained!, 20_000, 100_000);
    expect(pieces.map((piece) => piece.length)).toEqual([2 ** 20 - 1, 2 ** 20, 2]);
    expect(pieces.join('')).toBe(run);
  });
});
