import { extname } from 'node:path';
import { usageError } from '../errors.js';
import { formatTable, type TableRow, tableDictionary } from '../files/table.js';
import { writeFileAtomic } from '../io/atomic.js';

/** @throws SparselawError (status 2) for another extension than .csv or .parquet */
export function tableFormat(path: string): 'csv' | 'parquet' {
  const extension = extname(path).toLowerCase();
  if (extension === '.csv') return 'csv';
  if (extension === '.parquet') return 'parquet';
  throw usageError(`--out ${path}: the name must end in .csv or .parquet.`, { code: 'bad-flag' });
}

/** Writes the table, and its column dictionary beside it as `<path>.schema.json`. */
export async function writeTable(path: string, rows: readonly TableRow[]): Promise<void> {
  const format = tableFormat(path);
  // The dictionary goes first: whoever sees the table finds its columns explained.
  await writeFileAtomic(`${path}.schema.json`, `${JSON.stringify(tableDictionary(), null, 2)}\n`);
  if (format === 'csv') return writeFileAtomic(path, formatTable(rows));
  const { formatTableParquet } = await import('./parquet.js');
  await writeFileAtomic(path, formatTableParquet(rows));
}
