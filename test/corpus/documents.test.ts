import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DocumentPart, readDocuments, textDocuments } from '../../src/corpus/documents.js';
import { decodeText } from '../../src/corpus/text.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'documents-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function join_(parts: AsyncIterable<DocumentPart>): Promise<string[]> {
  const documents: string[] = [];
  let open = '';
  for await (const { text, isLast } of parts) {
    expect(text).not.toBe('');
    open += text;
    if (isLast) documents.push(open);
    if (isLast) open = '';
  }
  expect(open).toBe('');
  return documents;
}

async function* chunksOf(text: string, length: number) {
  for (let i = 0; i < text.length; i += length) yield text.slice(i, i + length);
}

const read = (name: string, content: string | Uint8Array, textField = 'text', maxExpansion = 100) => {
  writeFileSync(join(folder, name), content);
  return join_(readDocuments(join(folder, name), { textField, maxExpansion }));
};

describe('plain text', () => {
  it.each([
    ['one document', 'a\nb', ['a\nb']],
    ['separator lines', 'a\n<|endoftext|>\nb\n<|endoftext|>\n', ['a\n', 'b\n']],
    ['CRLF', 'a\r\n<|endoftext|>\r\nb', ['a\r\n', 'b']],
    ['a separator without line end', 'a\n<|endoftext|>', ['a\n']],
    ['empty documents', '<|endoftext|>\n<|endoftext|>\na\n<|endoftext|>\n\n', ['a\n', '\n']],
    ['a separator within a line', 'a <|endoftext|>\n<|endoftext|>b\n', ['a <|endoftext|>\n<|endoftext|>b\n']],
    ['nothing', '', []],
  ])('is cut at %s, whatever the chunks', async (_, text, documents) => {
    for (const length of [1, 2, 3, 7, 1000]) {
      expect(await join_(textDocuments(chunksOf(text, length)))).toEqual(documents);
    }
  });

  it('comes in parts when a document or a line is long', async () => {
    const text = `${'x'.repeat(300_000)}\n<|endoftext|>\n${'y\n'.repeat(100_000)}`;
    let parts = 0;
    for await (const _ of textDocuments(chunksOf(text, 50_000))) parts++;
    expect(parts).toBeGreaterThan(5);
    expect(await join_(textDocuments(chunksOf(text, 50_000)))).toEqual([
      `${'x'.repeat(300_000)}\n`,
      'y\n'.repeat(100_000),
    ]);
  });
});

describe('JSONL', () => {
  it('holds a document a line, also packed', async () => {
    const lines = '{"text":"a\\nb"}\n\n{"text":""}\n{"text":"\\ud800!","x":1}';
    const documents = ['a\nb', '\ufffd!'];
    expect(await read('a.jsonl', lines)).toEqual(documents);
    expect(await read('a.jsonl.gz', gzipSync(lines))).toEqual(documents);
    expect(await read('b.jsonl', '{"body":"c"}\n', 'body')).toEqual(['c']);
  });

  it.each([
    ['bad JSON', '{"text":"a"}\n{"text"\n', /d\.jsonl, line 2 is not valid JSON/],
    ['another field', '{"body":"a"}\n', /d\.jsonl, line 1 has no field "text"/],
    ['a number', '\n{"text":1}\n', /d\.jsonl, line 2: the field "text" is not text/],
    ['no object', '"text"\n', /d\.jsonl, line 1 has no field/],
  ])('with %s names the line', async (_, text, message) => {
    const error = await read('d.jsonl', text).catch((thrown) => thrown);
    expect(error).toMatchObject({ exitStatus: 3 });
    expect(error.message).toMatch(message);
  });
});

describe('UTF-8', () => {
  it('survives any chunks, and loses its byte order mark', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme' }),
        fc.integer({ min: 1, max: 5 }),
        async (text, length) => {
          const bytes = Buffer.from(`\ufeff${text}`);
          const chunks = (async function* () {
            for (let i = 0; i < bytes.length; i += length) yield bytes.subarray(i, i + length);
          })();
          let decoded = '';
          for await (const part of decodeText(chunks, 't')) decoded += part;
          expect(decoded).toBe(text);
        },
      ),
    );
  });

  it('names the first bad byte, its offset and line, wherever it is', async () => {
    const good = Buffer.from('é\n'.repeat(200_000));
    const text = Buffer.concat([good, Buffer.from([0xff]), good]);
    await expect(read('bad.txt', text)).rejects.toThrow(
      /bad\.txt is not UTF-8 .* offset 600000, line 200001\./,
    );
    await expect(read('end.txt', Buffer.from([0x61, 0xc3]))).rejects.toThrow(/offset 1, line 1/);
    const utf16 = Buffer.from('\ufeffa\nb', 'utf16le');
    await expect(read('utf16.txt', utf16)).rejects.toMatchObject({ code: 'not-utf8', exitStatus: 3 });
  });
});

describe('packed files', () => {
  it('that are cut off or no such thing are named', async () => {
    const whole = gzipSync('text '.repeat(10_000));
    for (const bytes of [whole.subarray(0, -12), Buffer.from('no gzip')]) {
      const error = await read('cut.txt.gz', bytes).catch((thrown) => thrown);
      expect(error).toMatchObject({ exitStatus: 3, code: 'bad-compression' });
      expect(error.message).toMatch(/cut\.txt\.gz is not a whole gzip file/);
    }
    const error = await read('cut.txt.xz', Buffer.from('no xz')).catch((thrown) => thrown);
    expect(error.message).toMatch(/cut\.txt\.xz is not a whole xz file|the program xz is not installed/);
    expect(error.message).not.toContain('\n');
  });

  it('that unpack to too much stop at the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(80_000_000, 'a '));
    await expect(read('bomb.txt.gz', bomb)).rejects.toMatchObject({
      code: 'expands-too-much',
      exitStatus: 3,
    });
    expect((await read('fine.txt.gz', bomb, 'text', 2000))[0]).toHaveLength(80_000_000);
  });

  it('as .xz need the program xz', async () => {
    const path = process.env.PATH;
    process.env.PATH = folder;
    try {
      await expect(read('x.txt.xz', 'x')).rejects.toMatchObject({ code: 'no-xz', exitStatus: 3 });
    } finally {
      process.env.PATH = path;
    }
  });
});
