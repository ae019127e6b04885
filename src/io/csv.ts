import { parse } from 'csv-parse/sync';
import { inputError } from '../errors.js';
import { csvError, MAX_RECORD_CHARACTERS } from './csv-error.js';
import { readTextFile } from './json.js';
import { printable } from './printable.js';

/** A table is held in memory whole; V8's longest string is just above this. */
const MAX_CSV_BYTES = 2 ** 29 - 1;

export interface CsvTable {
  columns: string[];
  /** One object a row; prototype-free, so that a column may have any name. */
  rows: Record<string, string>[];
  /** Line number of each row in the file, from 1. */
  lines: number[];
}

/**
 * Reads a CSV with a header row: UTF-8 with or without a byte order mark, LF or CRLF; lines that begin with `#`
 * are comments and blank lines are skipped.
 * @throws SparselawError (status 3) naming file and line: ragged rows, unclosed quotes, repeated column names
 */
export async function readCsv(path: string): Promise<CsvTable> {
  return parseCsv(await readTextFile(path, { maxBytes: MAX_CSV_BYTES }), path);
}

/** `readCsv` for text in memory; `path` names it in messages. */
export function parseCsv(text: string, path: string): CsvTable {
  const lines: number[] = [];
  let records: string[][];
  try {
    records = parse(text, {
      bom: true,
      comment: '#',
      // Only at the start of a line: a cell may hold a `#`.
      comment_no_infix: true,
      relax_column_count: false,
      skip_empty_lines: true,
      record_delimiter: ['\r\n', '\n'],
      max_record_size: MAX_RECORD_CHARACTERS,
      on_record: (record: string[], context) => {
        lines.push(context.lines);
        return record;
      },
    });
  } catch (error) {
    throw csvError(error, path);
  }
  const [columns, ...cells] = records;
  if (!columns) {
    throw inputError(`${printable(path)} holds no header row.`, { code: 'empty-table' });
  }
  const repeated = columns.find((column, i) => columns.indexOf(column) !== i);
  if (repeated !== undefined) {
    throw inputError(`${printable(path)}: the column "${printable(repeated)}" stands twice in the header.`, {
      code: 'duplicate-column',
    });
  }
  const rows = cells.map((row) => {
    const object: Record<string, string> = Object.create(null);
    for (const [i, column] of columns.entries()) object[column] = row[i]!;
    return object;
  });
  return { columns, rows, lines: lines.slice(1) };
}

/** CSV text with LF line ends; cells are quoted where they must be. Missing cells are empty. */
export function formatCsv(
  columns: readonly string[],
  rows: readonly Readonly<Record<string, string | number | boolean | null | undefined>>[],
): string {
  const line = (cells: readonly string[]) => `${cells.map(quote).join(',')}\n`;
  return line(columns) + rows.map((row) => line(columns.map((column) => cellText(row[column])))).join('');
}

function cellText(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' && !Number.isFinite(value)) return '';
  return String(value);
}

/** Also quotes a leading `#`, which would read back as a comment. */
function quote(cell: string): string {
  return /[",\r\n]|^#|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
