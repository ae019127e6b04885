import { inputError } from '../errors.js';
import { noRows, parseTable, TABLE_COLUMN_NAMES, type TableRow } from '../files/table.js';
import { readRows } from '../fit/read-rows.js';
import { sha256File } from '../io/hash.js';
import { printable } from '../io/printable.js';

/** A row of a table: the columns of ours, and every cell as text under its own name. */
export interface SourceRow {
  known: TableRow;
  cells: Record<string, string>;
}

export interface TableSource {
  path: string;
  sha256: string;
  columns: string[];
  rows: SourceRow[];
}

/**
 * Reads a table (CSV or Parquet) whole, whatever other columns it has.
 * @throws SparselawError (status 3) naming file, line and column of what cannot be read, and where there is no row
 */
export async function readTable(path: string): Promise<TableSource> {
  let columns: string[] = [];
  const rows: Record<string, string>[] = [];
  const lines: number[] = [];
  await readRows(path, {
    columns: (names) => {
      columns = names;
    },
    row: (cells, line) => {
      rows.push(
        Object.fromEntries(columns.map((name, i) => [name, cells[i] === null ? '' : String(cells[i])])),
      );
      lines.push(line);
    },
  });
  if (rows.length === 0) throw noRows(path);
  const known = parseTable({ columns, rows, lines }, path);
  return {
    path,
    sha256: await sha256File(path),
    columns,
    rows: known.map((row, i) => ({ known: row, cells: rows[i]! })),
  };
}

/**
 * The rows of a table that `sparselaw table` wrote, to be joined with others.
 * @throws SparselawError (status 3) as `readTable`, and naming a column that would be lost
 */
export async function readOwnTable(path: string): Promise<TableSource> {
  const table = await readTable(path);
  const foreign = table.columns.find((column) => !(TABLE_COLUMN_NAMES as string[]).includes(column));
  if (foreign !== undefined) {
    throw inputError(
      `${printable(path)}, line 1: ${printable(foreign)} is no column of a table of sparselaw’s.`,
      {
        code: 'foreign-table',
        suggestions: ['Joined are tables that `sparselaw table` wrote; `--describe` prints their columns.'],
      },
    );
  }
  const nameless = table.rows.findIndex(({ known }) => known.run_id === null);
  if (nameless >= 0) {
    throw inputError(`${printable(path)}: row ${nameless + 1} has no run_id.`, { code: 'foreign-table' });
  }
  return table;
}
