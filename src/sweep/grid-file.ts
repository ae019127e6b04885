import { isAlias, isMap, isScalar, isSeq, type Node } from 'yaml';
import type { z } from 'zod';
import { inputError } from '../errors.js';
import { sha256 } from '../io/hash.js';
import { readTextFile } from '../io/json.js';
import { printable } from '../io/printable.js';
import { parseYaml } from '../io/yaml.js';
import { nearest } from '../nearest.js';
import { type Grid, gridSchema } from './grid-schema.js';

/** Far above any grid. */
const MAX_BYTES = 2 ** 20;

/** A path into the file, such as `['product', 'seed', 1]`. */
export type GridPath = readonly (string | number)[];

export interface GridFile {
  path: string;
  sha256: string;
  grid: Grid;
  /** The line (from 1) on which a value, or the key of a missing one, stands. */
  lineOf(path: GridPath): number;
}

/**
 * Reads a grid file.
 * @throws SparselawError (status 3) naming file, line and key of the first mistake
 */
export async function readGridFile(path: string): Promise<GridFile> {
  return parseGrid(await readTextFile(path, { maxBytes: MAX_BYTES }), path);
}

export function parseGrid(text: string, path: string): GridFile {
  const { document, lineCounter } = parseYaml(text, path, 'bad-grid');
  const lineOf = (wanted: GridPath): number => {
    let node: unknown = document.contents;
    let offset = 0;
    for (const key of wanted) {
      if (isAlias(node)) node = node.resolve(document);
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
        if (!pair) break;
        offset = startOf(pair.key) ?? offset;
        node = pair.value;
      } else if (isSeq(node)) {
        node = node.items[Number(key)];
        offset = startOf(node) ?? offset;
      } else break;
    }
    return lineCounter.linePos(offset).line;
  };
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw inputError(`${printable(path)} uses too many aliases, or one that is not defined.`, {
      code: 'bad-grid',
      cause: error,
    });
  }
  const result = gridSchema.safeParse(value ?? {});
  if (!result.success) throw schemaError(result.error.issues[0]!, path, lineOf);
  return { path, sha256: sha256(text), grid: result.data, lineOf };
}

const startOf = (node: unknown): number | undefined => (node as Node | undefined)?.range?.[0];

function schemaError(issue: z.core.$ZodIssue, path: string, lineOf: GridFile['lineOf']): Error {
  const at = issue.path as GridPath;
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const known = knownKeys(at);
    const near = nearest(key, known);
    const name = [...at, key].join('.');
    return inputError(
      `${printable(path)}, line ${lineOf([...at, key])}: ${printable(name)} is not a key of a grid.` +
        `${near ? ` Did you mean ${near}?` : ''}`,
      {
        code: 'unknown-key',
        suggestions: near
          ? [`Write ${near} instead of ${printable(key)}.`]
          : [
              `Valid keys here: ${known.join(', ')}. Keys of a run go under defaults, product, lists or runs.`,
            ],
      },
    );
  }
  const name = at.join('.') || 'the file';
  return inputError(
    `${printable(path)}, line ${lineOf(at)}: ${printable(name)} ${printable(issue.message)}.`,
    { code: 'bad-grid' },
  );
}

/** The keys that the object at a path may have. */
function knownKeys(path: GridPath): string[] {
  let schema: unknown = gridSchema;
  for (const key of path) {
    schema = unwrapped(schema);
    const { shape, element } = schema as { shape?: Record<string, unknown>; element?: unknown };
    schema = shape ? shape[String(key)] : element;
  }
  return Object.keys((unwrapped(schema) as { shape?: object }).shape ?? {});
}

/** Without `optional`, `default` and `nullable` around it. */
function unwrapped(schema: unknown): unknown {
  const { def } = schema as { def?: { innerType?: unknown } };
  return def?.innerType ? unwrapped(def.innerType) : schema;
}
