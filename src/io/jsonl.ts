import { open } from 'node:fs/promises';
import type { z } from 'zod';
import { inputError } from '../errors.js';
import { withFile } from './file-error.js';
import { checkValue, parseJson, type ReadJsonOptions, readTextFile } from './json.js';

/**
 * Appends values as lines of JSON in one write. Not atomic: a crash may leave a last line without its end, which
 * `readJsonl` reports through `torn` and the next append starts on a line of its own.
 */
export async function appendJsonl(path: string, values: readonly unknown[]): Promise<void> {
  await withFile('write', path, async () => {
    const handle = await open(path, 'a+');
    try {
      const { size } = await handle.stat();
      const last = Buffer.alloc(1);
      if (size > 0) await handle.read(last, 0, 1, size - 1);
      const separator = size > 0 && last[0] !== 10 ? '\n' : '';
      await handle.appendFile(separator + values.map((value) => `${JSON.stringify(value)}\n`).join(''));
    } finally {
      await handle.close();
    }
  });
}

export interface JsonlRows<Row> {
  rows: Row[];
  /** Line numbers, from 1, of `rows`. */
  lines: number[];
  /** A last line without line end that is not JSON: what a crash cut off. Not among `rows`. */
  torn?: string;
}

/** Reads a JSONL file; blank lines are skipped. @throws SparselawError (status 3) naming file and line */
export async function readJsonl<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
  options: ReadJsonOptions = {},
): Promise<JsonlRows<z.output<Schema>>> {
  const text = await readTextFile(path, { maxBytes: 2 ** 29 - 1, ...options });
  const parts = text.split('\n');
  const result: JsonlRows<z.output<Schema>> = { rows: [], lines: [] };
  for (const [index, part] of parts.entries()) {
    if (part.trim() === '') continue;
    const where = `${path}, line ${index + 1}`;
    if (index === parts.length - 1 && !isJson(part)) {
      result.torn = part;
      break;
    }
    const value = parseJson(part, where);
    if (typeof value !== 'object') throw inputError(`${where} is not an object.`, { code: 'bad-json' });
    result.rows.push(checkValue(value, schema, where));
    result.lines.push(index + 1);
  }
  return result;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
