import { parquetWriteBuffer } from 'hyparquet-writer';
import { type ColumnKind, TABLE_COLUMN_NAMES, TABLE_COLUMNS, type TableRow } from '../files/table.js';

/** Integers of 64 bits: a run may see more than 2³¹ tokens. */
const PARQUET_TYPES = { text: 'STRING', integer: 'INT64', number: 'DOUBLE', boolean: 'BOOLEAN' } as const;

function cell(value: string | number | boolean | null, kind: ColumnKind) {
  return kind === 'integer' && typeof value === 'number' ? BigInt(value) : value;
}

/** The table as a Parquet file (Snappy), every column nullable, in the order of the dictionary. */
export function formatTableParquet(rows: readonly TableRow[]): Uint8Array {
  const buffer = parquetWriteBuffer({
    columnData: TABLE_COLUMN_NAMES.map((name) => {
      const { kind } = TABLE_COLUMNS[name];
      return {
        name,
        data: rows.map((row) => cell(row[name], kind)),
        type: PARQUET_TYPES[kind],
        nullable: true,
      };
    }),
  });
  return new Uint8Array(buffer);
}
