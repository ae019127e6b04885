import { open } from 'node:fs/promises';
import type { z } from 'zod';
import { inputError } from '../errors.js';
import { withFile } from './file-error.js';
import { printable } from './printable.js';

/** Far above any JSON file of ours, small enough to parse in a moment. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

export interface ReadJsonOptions {
  /** Larger files are refused before they are read. Default 64 MiB. */
  maxBytes?: number;
}

/**
 * Reads and checks a JSON file.
 * @throws SparselawError (status 3), one line: missing, too large, not UTF-8, bad JSON (line and column), or the
 *   path of the first value that the schema refuses
 */
export async function readJson<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
  options: ReadJsonOptions = {},
): Promise<z.output<Schema>> {
  return checkValue(parseJson(await readTextFile(path, options), path), schema, path);
}

/** Reads a whole UTF-8 file of bounded size; a byte order mark is dropped. */
export async function readTextFile(path: string, { maxBytes = MAX_JSON_BYTES }: ReadJsonOptions = {}) {
  return withFile('read', path, async () => {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      if (size > maxBytes) {
        throw inputError(`${printable(path)} has ${size} bytes; at most ${maxBytes} are read.`, {
          code: 'file-too-large',
        });
      }
      return decodeUtf8(await handle.readFile(), path);
    } finally {
      await handle.close();
    }
  });
}

/** UTF-8 bytes as text. @throws SparselawError (status 3) naming file, line and byte of the first bad byte */
export function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw notUtf8(path, bytes, 0, 1);
  }
}

/**
 * The error for bytes that are not UTF-8.
 * @param bytes holds the first bad byte; starts at a character
 * @param offset position of `bytes` in the file
 * @param line line number (from 1) at which `bytes` starts
 */
export function notUtf8(path: string, bytes: Uint8Array, offset: number, line: number): Error {
  const bad = firstBadByte(bytes);
  let badLine = line;
  for (let i = 0; i < bad; i++) if (bytes[i] === 10) badLine++;
  return inputError(
    `${printable(path)} is not UTF-8 text: bad byte at offset ${offset + bad}, line ${badLine}.`,
    { code: 'not-utf8', suggestions: ['Convert it first, e.g. `iconv -f LATIN1 -t UTF-8`.'] },
  );
}

/** The length of the longest prefix that decodes, by bisection: a prefix is bad once it holds the bad byte. */
function firstBadByte(bytes: Uint8Array): number {
  const decodes = (length: number) => {
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decodes(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

/** @throws SparselawError (status 3) naming the file, line and column */
export function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw inputError(`${printable(path)} is not valid JSON${placeOf(error as Error, text)}.`, {
      code: 'bad-json',
      cause: error,
    });
  }
}

/** V8 gives the position only in its message, and not for an unexpected end. */
function placeOf(error: Error, text: string): string {
  const match = /at position (\d+)/.exec(error.message);
  if (!match) return /end of JSON/.test(error.message) ? ': it ends too early' : '';
  const before = text.slice(0, Number(match[1]));
  const line = before.split('\n').length;
  return ` at line ${line}, column ${before.length - before.lastIndexOf('\n')}`;
}

/** @throws SparselawError (status 3) with the path of the first value that does not fit */
export function checkValue<Schema extends z.ZodType>(
  value: unknown,
  schema: Schema,
  path: string,
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const where = issue.path.reduce<string>(
    (joined, key) =>
      typeof key === 'number' ? `${joined}[${key}]` : `${joined}${joined && '.'}${String(key)}`,
    '',
  );
  const more = result.error.issues.length - 1;
  throw inputError(
    `${printable(path)}: ${where ? `"${printable(where)}": ` : ''}${printable(issue.message)}` +
      `${more > 0 ? ` (and ${more} more)` : ''}.`,
    { code: 'bad-value', cause: result.error },
  );
}
