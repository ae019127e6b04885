import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { weightFiles } from '../../src/checkpoint/foreign.js';
import { readDocuments } from '../../src/corpus/documents.js';
import { escapeControls } from '../../src/errors.js';
import { readSeries } from '../../src/fit/read-series.js';
import { readCsv } from '../../src/io/csv.js';
import { parseGrid } from '../../src/sweep/grid-file.js';
import { root, sparselaw } from '../cli/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-bombs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, content: string | Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const refusal = (code: string) => ({ exitStatus: 3, code });

describe('small files that ask for much', () => {
  it('an xz file stops at the limit of its expansion', async () => {
    const bomb = execFileSync('xz', ['--stdout', '-1'], { input: Buffer.alloc(80_000_000) });
    const path = file('bomb.txt.xz', bomb);
    const read = async () => {
      for await (const part of readDocuments(path, { maxExpansion: 100, textField: 'text' })) void part;
    };
    await expect(read()).rejects.toMatchObject(refusal('expands-too-much'));
  });

  it('a Parquet file whose page claims two thousand million values is given up', async () => {
    const path = join(root, 'fixtures/hostile/endless.parquet');
    const before = process.cpuUsage();
    await expect(readSeries(path, { positiveX: true })).rejects.toMatchObject(refusal('bad-parquet'));
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(2);
  });

  it('aliases that multiply are not followed in a grid', () => {
    const lists = Array.from({ length: 20 }, (_, i) =>
      i === 0 ? 'a0: &a0 [x, x]' : `a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`,
    );
    expect(() => parseGrid(lists.join('\n'), 'grid.yaml')).toThrow(/too many aliases/);
  });

  it('a CSV with a cell of ten million characters is refused with its line', async () => {
    const path = file('long.csv', `tokens,activation_ratio\n1,"${'x'.repeat(10_000_000)}"\n`);
    for (const read of [() => readCsv(path), () => readSeries(path, { positiveX: true })]) {
      // One after the other: a rejection that nobody awaits yet ends the whole test run.
      const error = await read().catch((thrown) => thrown);
      expect(error).toMatchObject(refusal('bad-csv'));
      expect(error.message).toMatch(/line \d: a row is longer than 1000000 characters/);
    }
  });
});

describe('names that lead elsewhere', () => {
  it.each(['../model.safetensors', '/etc/passwd', 'a/b.safetensors', '..\\x', ''])(
    'an index of shards may not name %j',
    async (name) => {
      const model = join(folder, 'model');
      mkdirSync(model, { recursive: true });
      writeFileSync(join(model, 'model.safetensors.index.json'), JSON.stringify({ weight_map: { a: name } }));
      await expect(weightFiles(model)).rejects.toMatchObject({ exitStatus: 3 });
    },
  );

  it('a link out of the folder is read as weights or not at all', async () => {
    const model = join(folder, 'linked');
    cpSync(join(root, 'fixtures/parity/families/llama'), model, { recursive: true });
    rmSync(join(model, 'model.safetensors'));
    symlinkSync('/etc/passwd', join(model, 'model.safetensors'));
    const { status, stderr } = await sparselaw(['checkpoint', 'show', model]);
    expect(status).toBe(3);
    expect(stderr).toMatch(/its header claims/);
    expect(stderr).not.toMatch(/root:/);
  });

  it('__proto__ is a key like any other', () => {
    expect(() => parseGrid('__proto__: { polluted: 1 }', 'grid.yaml')).toThrow(/not a key of a grid/);
    expect(() => parseGrid('defaults: { __proto__: { polluted: 1 } }', 'grid.yaml')).not.toThrow();
    expect((Object.prototype as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('what would act on a terminal or a spreadsheet', () => {
  const HOSTILE = 'a\u001b[2J\u009b31m\u202eb';

  it('is shown as text by every command', async () => {
    const csv = file(
      't.csv',
      `run,x,y\n${[1, 2, 3, 4, 5].map((x) => `${HOSTILE},${x},${x / 2}`).join('\n')}\n`,
    );
    const args = ['fit', csv, '--law', 'linear', '--x', 'x', '--y', 'y', '--group', 'run'];
    for (const json of [[], ['--json']]) {
      const { status, stdout, stderr } = await sparselaw([...args, ...json]);
      expect(status, stderr).toBe(0);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
      expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
      expect(stdout).toContain(json.length > 0 ? 'a\\u001b[2J\\u009b31m\\u202eb' : 'a\\u{1b}[2J');
    }
  });

  it('stays the same value in JSON', () => {
    const value = { [HOSTILE]: '\u2028\u007f\n' };
    expect(JSON.parse(escapeControls(JSON.stringify(value, null, 2)))).toEqual(value);
  });
});
