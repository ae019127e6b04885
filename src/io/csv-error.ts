import type { CsvError } from 'csv-parse';
import { inputError } from '../errors.js';
import { printable } from './printable.js';

/** No honest row is longer; csv-parse stops there instead of swallowing the file after a stray quote. */
export const MAX_RECORD_CHARACTERS = 1_000_000;

const SAYS: Record<string, string> = {
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: 'the row has another number of cells than the header',
  CSV_RECORD_INCONSISTENT_COLUMNS: 'the row has another number of cells than the header',
  CSV_QUOTE_NOT_CLOSED: 'a quote is opened and never closed',
  CSV_INVALID_CLOSING_QUOTE: 'text follows a closing quote',
  INVALID_OPENING_QUOTE: 'a quote stands inside an unquoted cell',
  CSV_MAX_RECORD_SIZE: `a row is longer than ${MAX_RECORD_CHARACTERS} characters`,
};

/** Turns what csv-parse throws into one line with status 3, naming file and line; other errors pass unchanged. */
export function csvError(error: unknown, path: string): unknown {
  const { code, lines, message } = error as Partial<CsvError> & { lines?: number };
  if (!code?.startsWith('CSV_') && !Object.hasOwn(SAYS, code ?? '')) return error;
  const where = lines === undefined ? '' : `, line ${lines}`;
  const what = SAYS[code!] ?? printable(message!);
  return inputError(`${printable(path)}${where}: ${what}.`, { code: 'bad-csv', cause: error });
}
