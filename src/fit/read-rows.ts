import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { inputError } from '../errors.js';
import { type Fit, type FitFile, fitFileSchema } from '../files/fit.js';
import { csvError, MAX_RECORD_CHARACTERS } from '../io/csv-error.js';
import { withFile } from '../io/file-error.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';
import { readParquetRows } from './read-parquet.js';
import type { RowVisitor } from './row-visitor.js';

export type TableKind = 'csv' | 'parquet' | 'fit';

const PARQUET_MAGIC = 'PAR1';

/** The kind of table by content: Parquet's magic, a JSON object, else CSV. */
async function tableKind(path: string): Promise<TableKind> {
  return withFile('read', path, async () => {
    const stream = createReadStream(path, { start: 0, end: 63 });
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    const head = Buffer.concat(parts).toString('latin1');
    if (head.startsWith(PARQUET_MAGIC)) return 'parquet';
    return /^\s*\{/.test(head) ? 'fit' : 'csv';
  });
}

/** Streams the rows of a CSV, a Parquet file or a fit.json (one row a group) to the visitor. */
export async function readRows(path: string, visitor: RowVisitor): Promise<TableKind> {
  const kind = await tableKind(path);
  if (kind === 'csv') await readCsvRows(path, visitor);
  else if (kind === 'parquet') await readParquetRows(path, visitor);
  else readFitRows(await readJson(path, fitFileSchema), visitor);
  return kind;
}

/** A million rows pass through without being held: csv-parse calls back for each and keeps none. */
async function readCsvRows(path: string, visitor: RowVisitor): Promise<void> {
  const { parse } = await import('csv-parse');
  let header: string[] | null = null;
  const parser = parse({
    bom: true,
    skip_empty_lines: true,
    comment: '#',
    // Only whole lines: a # inside a cell is text.
    comment_no_infix: true,
    record_delimiter: ['\r\n', '\n'],
    max_record_size: MAX_RECORD_CHARACTERS,
    on_record: (cells: string[], { lines }) => {
      if (header) {
        visitor.row(cells, lines);
      } else {
        header = cells.map((cell) => cell.trim());
        checkHeader(header, path);
        visitor.columns(header);
      }
      return null;
    },
  });
  parser.resume();
  try {
    await withFile('read', path, () => pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), parser));
  } catch (error) {
    throw csvError(error, path);
  }
  if (!header) throw inputError(`${printable(path)} holds no header row.`, { code: 'empty-table' });
}

function checkHeader(header: string[], path: string): void {
  const repeated = header.find((name, i) => header.indexOf(name) !== i);
  if (repeated !== undefined) {
    throw inputError(`${printable(path)}: the column "${printable(repeated)}" stands twice in the header.`, {
      code: 'duplicate-column',
    });
  }
}

/** The law whose limit stands for a group: the one `--law auto` chose, else the best ranked, else the first. */
export function preferredFit(file: FitFile, group: Record<string, string>): Fit | undefined {
  const key = JSON.stringify(group);
  const comparison = file.comparison.find((entry) => JSON.stringify(entry.group) === key);
  const fits = file.fits.filter((fit) => JSON.stringify(fit.group) === key && fit.limit !== null);
  const names = [comparison?.chosen?.law, ...(comparison?.ranking.map(({ law }) => law) ?? [])];
  return names.map((law) => fits.find((fit) => fit.law === law)).find(Boolean) ?? fits[0];
}

/** One row a group: its columns, and limit, limit_low, limit_high, limit_se, law, n, verdict, params_non_embedding. */
function readFitRows(file: FitFile, visitor: RowVisitor): void {
  const groups = [...new Map(file.fits.map((fit) => [JSON.stringify(fit.group), fit.group])).values()];
  const names = [...new Set(groups.flatMap((group) => Object.keys(group)))];
  const own = ['limit', 'limit_low', 'limit_high', 'limit_se', 'law', 'n', 'verdict', 'params_non_embedding'];
  visitor.columns([...names.filter((name) => !own.includes(name)), ...own]);
  for (const [i, group] of groups.entries()) {
    const fit = preferredFit(file, group);
    if (!fit?.limit) continue;
    visitor.row(
      [
        ...names.filter((name) => !own.includes(name)).map((name) => group[name] ?? null),
        fit.limit.estimate,
        fit.limit.interval[0],
        fit.limit.interval[1],
        fit.limit.standardError,
        fit.law,
        fit.n,
        fit.verdict,
        fit.modelParameters,
      ],
      i + 1,
    );
  }
}
