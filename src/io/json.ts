import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { z } from 'zod';
import { inputError } from '../errors.js';
import { fileError, withFile } from './file-error.js';
import { jsonErrorPosition } from './json-position.js';
import { nestsTooDeep } from './json-scan.js';
import { printable } from './printable.js';
import { decodeUtf8 } from './utf8.js';

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

/**
 * `readJson` in place, without a turn of the event loop: several times faster for many small files that are in
 * the system's cache.
 */
export function readJsonSync<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema> {
  let text: string;
  try {
    const file = openSync(path, 'r');
    try {
      refuseLarge(fstatSync(file).size, MAX_JSON_BYTES, path);
      text = decodeUtf8(readFileSync(file), path);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw fileError(error, 'read', path);
  }
  return checkValue(parseJson(text, path), schema, path);
}

function refuseLarge(size: number, maxBytes: number, path: string): void {
  if (size <= maxBytes) return;
  throw inputError(`${printable(path)} has ${size} bytes; at most ${maxBytes} are read.`, {
    code: 'file-too-large',
  });
}

/** Reads a whole UTF-8 file of bounded size; a byte order mark is dropped. */
export async function readTextFile(path: string, { maxBytes = MAX_JSON_BYTES }: ReadJsonOptions = {}) {
  return withFile('read', path, async () => {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      refuseLarge(size, maxBytes, path);
      return decodeUtf8(await readWhole(handle, size), path);
    } finally {
      await handle.close();
    }
  });
}

/** One read where one is enough: `handle.readFile` asks for the size again and for a second, empty part. */
async function readWhole(handle: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(size);
  const { bytesRead } = size > 0 ? await handle.read(bytes, 0, size, 0) : { bytesRead: 0 };
  // A pipe tells no size, and a file may come in parts.
  return size > 0 && bytesRead === size ? bytes : handle.readFile();
}

/** @throws SparselawError (status 3) naming the file, line and column */
export function parseJson(text: string, path: string): unknown {
  if (nestsTooDeep(text)) {
    throw inputError(`${printable(path)} nests its values too deep.`, { code: 'bad-json' });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw inputError(`${printable(path)} is not valid JSON${placeOf(text)}.`, {
      code: 'bad-json',
      cause: error,
    });
  }
}

function placeOf(text: string): string {
  const position = jsonErrorPosition(text);
  if (position >= text.length) return ': it ends too early';
  const before = text.slice(0, position);
  const line = before.split('\n').length;
  return ` at line ${line}, column ${position - before.lastIndexOf('\n')}`;
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
