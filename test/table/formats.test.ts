import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  emptyRow,
  formatTable,
  parseTable,
  TABLE_COLUMN_NAMES,
  TABLE_COLUMNS,
  type TableRow,
  tableDictionary,
  wasChanged,
} from '../../src/files/table.js';
import { parseCsv } from '../../src/io/csv.js';
import { sha256 } from '../../src/io/hash.js';
import { formatTableParquet } from '../../src/table/parquet.js';
import { tableFormat, writeTable } from '../../src/table/write.js';

/** Values that naive writers spoil: extremes of double, -0, quotes, commas, line ends, a leading #. */
const ROWS: TableRow[] = [
  {
    ...emptyRow(),
    run_id: '# "relu", 64\nsecond line',
    tokens: 4_294_967_297,
    gated: false,
    seed: 0,
    activation_ratio: 0.1 + 0.2,
    sparsity: 5e-324,
    learning_rate: 1.7976931348623157e308,
  },
  { ...emptyRow(), run_id: '</script><img src=x onerror=alert(1)>', gated: true, epochs: 1 / 3 },
];

describe('table.csv', () => {
  it('gives back every value, bit for bit', () => {
    expect(parseTable(parseCsv(formatTable(ROWS), 'table.csv'), 'table.csv')).toEqual(ROWS);
  });

  it('leaves missing cells empty and writes zeros as 0', () => {
    const [header, ...lines] = formatTable([{ ...emptyRow(), seed: 0 }])
      .trimEnd()
      .split('\n');
    expect(header!.split(',')).toEqual(TABLE_COLUMN_NAMES);
    const cells = lines[0]!.split(',');
    expect(cells.filter((cell) => cell !== '')).toEqual(['0']);
    expect(cells[TABLE_COLUMN_NAMES.indexOf('seed')]).toBe('0');
  });

  it('reads a table of other columns: unknown ones aside, absent ones missing, nan as missing', () => {
    const csv = parseCsv('tokens,scale,activation_ratio\n100,0.1B,nan\n200,0.1B,0.5\n', 't.csv');
    expect(
      parseTable(csv, 't.csv').map((row) => [
        row.tokens,
        row.activation_ratio,
        row.loss_dense_nats_per_token,
      ]),
    ).toEqual([
      [100, null, null],
      [200, 0.5, null],
    ]);
  });

  it.each([
    ['tokens,gated\n1.5,true\n', 'line 2, column tokens: "1.5" is not a whole number'],
    ['tokens,gated\n1,true\n2,maybe\n', 'line 3, column gated: "maybe" is not true or false'],
    ['sparsity\nInfinity\n', 'line 2, column sparsity: "Infinity" is not a finite number'],
  ])('names line and column of a bad cell: %j', (text, message) => {
    expect(() => parseTable(parseCsv(text, 't.csv'), 't.csv')).toThrow(message);
  });
});

describe('the column dictionary', () => {
  it('defines every column of the contract once, in its order', () => {
    const { columns } = tableDictionary();
    expect(columns.map(({ name }) => name).join(', ')).toBe(
      'run_id, checkpoint, step, tokens, metric, p_percent, epsilon, k_ratio, cett, protocol, status, activation, ' +
        'gated, n_layer, d_model, d_ff, n_head, vocab_size, params_total, params_non_embedding, width_depth_ratio, ' +
        'seed, activation_ratio, activation_ratio_se, activation_ratio_dense, sparsity, loss_dense_nats_per_token, ' +
        'loss_sparse_nats_per_token, ppl_dense, ppl_sparse, ppl_ratio, tokens_evaluated, calibration_tokens, ' +
        'sequence_length, data_sha256, checkpoint_sha256, engine, precision, device, train_engine, train_precision, ' +
        'phase, learning_rate, batch_tokens, unique_tokens, epochs, train_loss_nats_per_token, ' +
        'validation_loss_nats_per_token, validation_bits_per_byte, ppl_ratio_se, score, shared_cett',
    );
    for (const { definition, unit, kind } of columns) {
      expect(definition).toMatch(/\.$/);
      expect(unit === '' ? ['text', 'boolean', 'integer'] : ['integer', 'number']).toContain(kind);
    }
  });
});

describe('table.parquet', () => {
  const file = (rows: TableRow[]) => {
    const { buffer, byteOffset, byteLength } = formatTableParquet(rows);
    return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  };

  it('holds the same values, 64-bit integers and nulls', async () => {
    const read = await parquetReadObjects({ file: file(ROWS) });
    const expected = ROWS.map((row) =>
      Object.fromEntries(
        TABLE_COLUMN_NAMES.map((name) => [
          name,
          TABLE_COLUMNS[name].kind === 'integer' && row[name] !== null
            ? BigInt(row[name] as number)
            : row[name],
        ]),
      ),
    );
    // Missing cells come back as null or undefined, depending on the page; neither is a value.
    const nulls = (rows: Record<string, unknown>[]) =>
      rows.map((row) => Object.fromEntries(Object.entries(row).map(([k, v]) => [k, v ?? null])));
    expect(nulls(read)).toEqual(expected);
  });

  it('is compressed with Snappy, also when a column or the whole table is empty', async () => {
    const metadata = parquetMetadata(file(ROWS));
    expect(metadata.row_groups[0]!.columns.every((column) => column.meta_data!.codec === 'SNAPPY')).toBe(
      true,
    );
    expect(Number(parquetMetadata(file([])).num_rows)).toBe(0);
  });
});

describe('writeTable', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparselaw-write-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('writes the dictionary beside the table', async () => {
    const path = join(folder, 'table.csv');
    await writeTable(path, ROWS);
    expect(await readFile(path, 'utf8')).toBe(formatTable(ROWS));
    const schema = JSON.parse(await readFile(`${path}.schema.json`, 'utf8'));
    const hash = sha256(await readFile(path));
    expect(schema).toEqual({ ...tableDictionary(), sha256: hash });
    expect([await wasChanged(path, hash), await wasChanged(path, 'another')]).toEqual([false, true]);
  });

  it('knows two formats by their ending', () => {
    expect(tableFormat('a/b.CSV')).toBe('csv');
    expect(tableFormat('b.parquet')).toBe('parquet');
    expect(() => tableFormat('b.xlsx')).toThrow('must end in .csv or .parquet');
  });
});
