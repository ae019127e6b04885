import { extname } from 'node:path';
import { usageError } from '../errors.js';
import { dictionaryPath, formatTable, type TableRow, tableDictionary } from '../files/table.js';
import { writeFileAtomic } from '../io/atomic.js';
import { sha256 } from '../io/hash.js';

/** @throws SparselawError (status 2) for another extension than .csv or .parquet */
export function tableFormat(path: string): 'csv' | 'parquet' {
  const extension = extname(path).toLowerCase();
  if (extension === '.csv') return 'csv';
  if (extension === '.parquet') return 'parquet';
  throw usageError(`--out ${path}: the name must end in .csv or .parquet.`, { code: 'bad-flag' });
}

/** Writes the table, and its column dictionary with the table's SHA-256 beside it as `<path>.schema.json`. */
export async function writeTable(path: string, rows: readonly TableRow[]): Promise<void> {
  const format = tableFormat(path);
  const content = format === 'csv' ? formatTable(rows) : await parquetOf(rows);
  const dictionary = { ...tableDictionary(), sha256: sha256(content) };
  // The dictionary goes first: whoever sees the table finds its columns explained.
  await writeFileAtomic(dictionaryPath(path), `${JSON.stringify(dictionary, null, 2)}\n`);
  await writeFileAtomic(path, content);
}

async function parquetOf(rows: readonly TableRow[]): Promise<Uint8Array> {
  const { formatTableParquet } = await import('./parquet.js');
  return formatTableParquet(rows);
}
