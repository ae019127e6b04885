import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { formatCsv, parseCsv, readCsv } from '../../src/io/csv.js';
import { canonicalJson, sha256, sha256File } from '../../src/io/hash.js';
import { readJson } from '../../src/io/json.js';
import { appendJsonl, readJsonl } from '../../src/io/jsonl.js';
import { printable } from '../../src/io/printable.js';

let folder: string;
const at = (name: string) => join(folder, name);
const file = (name: string, content: string | Uint8Array) => {
  writeFileSync(at(name), content);
  return at(name);
};
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'formats-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('readJson', () => {
  const schema = z.object({ model: z.object({ sizes: z.array(z.int()) }) });

  it('reads what fits the schema', async () => {
    const path = file('good.json', '\ufeff{"model":{"sizes":[1,2]}}');
    expect(await readJson(path, schema)).toEqual({ model: { sizes: [1, 2] } });
  });

  it.each([
    ['a wrong type', '{"model":{"sizes":[1,"x"]}}', /bad\.json: "model\.sizes\[1\]": /],
    ['bad JSON', '{\n  "model": oops\n}', /bad\.json is not valid JSON at line 2, column 12/],
    ['an end too early', '{"model":', /not valid JSON: it ends too early/],
    ['nothing', '', /not valid JSON: it ends too early/],
    ['a comma too many', '{"model":{"sizes":[1,]}}', /at line 1, column 22/],
    ['a second value', '{}\n{}', /at line 2, column 1/],
    ['a key without quotes', '{model: 1}', /at line 1, column 2/],
  ])('names the place of %s', async (_, text, message) => {
    const error = await readJson(file('bad.json', text), schema).catch((thrown) => thrown);
    expect(error).toMatchObject({ exitStatus: 3 });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('\n');
  });

  it('names the first byte that is not UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from('{"é":\n"'), Buffer.from([0xe9]), Buffer.from('"}')]);
    await expect(readJson(file('latin.json', bytes), schema)).rejects.toThrow(/bad byte at offset 8, line 2/);
  });

  it('refuses a large file before reading it, and a folder', async () => {
    const path = file('large.json', '[1,2,3]');
    await expect(readJson(path, schema, { maxBytes: 3 })).rejects.toMatchObject({ code: 'file-too-large' });
    await expect(readJson(folder, schema)).rejects.toMatchObject({ code: 'is-a-folder', exitStatus: 3 });
    await expect(readJson(at('absent'), schema)).rejects.toMatchObject({
      code: 'missing-file',
      exitStatus: 3,
    });
  });

  it('lets no key reach a prototype', async () => {
    const path = file(
      'proto.json',
      '{"__proto__":{"polluted":1},"model":{"sizes":[],"__proto__":{"polluted":1}}}',
    );
    const value = await readJson(path, schema);
    expect((value as { polluted?: number }).polluted).toBeUndefined();
    expect((value.model as { polluted?: number }).polluted).toBeUndefined();
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it('survives 100,000 levels', async () => {
    const deep = file('deep.json', `${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    await expect(readJson(deep, schema)).rejects.toMatchObject({ exitStatus: 3 });
  });
});

describe('jsonl', () => {
  const row = z.object({ step: z.int() });

  it('appends and reads back with line numbers', async () => {
    const path = at('log.jsonl');
    await appendJsonl(path, [{ step: 1 }, { step: 2 }]);
    await appendJsonl(path, [{ step: 3 }]);
    expect(await readJsonl(path, row)).toEqual({
      rows: [1, 2, 3].map((step) => ({ step })),
      lines: [1, 2, 3],
    });
  });

  it('sets a torn last line apart and appends after it', async () => {
    const path = at('torn.jsonl');
    await appendJsonl(path, [{ step: 1 }]);
    appendFileSync(path, '{"ste');
    expect(await readJsonl(path, row)).toMatchObject({ rows: [{ step: 1 }], torn: '{"ste' });
    await appendJsonl(path, [{ step: 2 }]);
    await expect(readJsonl(path, row)).rejects.toThrow(/torn\.jsonl, line 2 is not valid JSON/);
  });

  it('names the line of a wrong value', async () => {
    const path = file('wrong.jsonl', '{"step":1}\n\n{"step":"x"}\n');
    await expect(readJsonl(path, row)).rejects.toThrow(/wrong\.jsonl, line 3: "step"/);
  });
});

describe('csv', () => {
  it('reads a byte order mark, CRLF, comments, blank lines and quotes', async () => {
    const path = file('t.csv', '\ufeff# note\r\na,b\r\n1,"x, #""y"""\r\n# more\r\n\r\n2,a#b\r\n');
    expect(await readCsv(path)).toEqual({
      columns: ['a', 'b'],
      rows: [
        { a: '1', b: 'x, #"y"' },
        { a: '2', b: 'a#b' },
      ],
      lines: [3, 6],
    });
  });

  it.each([
    ['a ragged row', 'a,b\n1,2\n3\n', /t\.csv, line 3: the row has another number of cells/],
    ['an open quote', 'a,b\n1,"2\n', /t\.csv, line \d: a quote is opened and never closed/],
    ['a column twice', 'a,b,a\n1,2,3\n', /"a" stands twice/],
    ['nothing', '# only a comment\n', /holds no header row/],
    ['an endless cell', `a\n${'x'.repeat(2_000_000)}\n`, /longer than 1000000/],
  ])('refuses %s', (_, text, message) => {
    let error: unknown;
    try {
      parseCsv(text, 't.csv');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ exitStatus: 3 });
    expect((error as Error).message).toMatch(message);
  });

  it('takes a column called __proto__', () => {
    const { rows } = parseCsv('__proto__,a\nx,1\n', 't.csv');
    expect(Object.entries(rows[0]!)).toEqual([
      ['__proto__', 'x'],
      ['a', '1'],
    ]);
  });

  it('reads back what it writes', () => {
    const cell = fc.string().map((text) => text.replace(/\0/g, ''));
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1 }), (cells) => {
        const rows = cells.map(([first, second]) => ({ first, second: `.${second}` }));
        expect(parseCsv(formatCsv(['first', 'second'], rows), 't').rows.map((row) => ({ ...row }))).toEqual(
          rows,
        );
      }),
    );
    expect(
      formatCsv(
        ['x', 'y'],
        [
          { x: 0.1, y: undefined },
          { x: Number.NaN, y: true },
        ],
      ),
    ).toBe('x,y\n0.1,\n,true\n');
  });
});

describe('hashes', () => {
  it('are those of the bytes', async () => {
    // FIPS 180-2, appendix B.1.
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(sha256('abc')).toBe(abc);
    expect(await sha256File(file('abc', 'abc'))).toBe(abc);
  });

  it('canonical JSON does not depend on the order of keys', () => {
    expect(canonicalJson({ b: [1, { d: null, c: -0 }], a: undefined, é: 'x' })).toBe(
      '{"b":[1,{"c":0,"d":null}],"é":"x"}',
    );
    expect(() => canonicalJson({ a: Number.NaN })).toThrow(/NaN/);
  });
});

it('printable text cannot move the cursor', () => {
  expect(printable('a\u001b[2Jb\nc\u202e')).toBe('a\\u{1b}[2Jb\\u{a}c\\u{202e}');
  expect(printable('x'.repeat(1000))).toHaveLength(201);
});
