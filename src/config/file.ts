import { type Document, isMap, isScalar } from 'yaml';
import { inputError } from '../errors.js';
import { readTextFile } from '../io/json.js';
import { printable } from '../io/printable.js';
import { parseYaml } from '../io/yaml.js';

/** A configuration file's values, and the line (from 1) on which each key stands; nested keys as `mup.widthBase`. */
export interface ConfigFile {
  path: string;
  values: Record<string, unknown>;
  lines: ReadonlyMap<string, number>;
}

/** Far above any configuration. */
const MAX_BYTES = 2 ** 20;

/**
 * Reads a configuration file, YAML or JSON (which is YAML).
 * @throws SparselawError (status 3) naming file, line and column of the first mistake
 */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  return parseConfig(await readTextFile(path, { maxBytes: MAX_BYTES }), path);
}

export function parseConfig(text: string, path: string): ConfigFile {
  const { document, lineCounter } = parseYaml(text, path, 'bad-config');
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return { path, values: {}, lines: new Map() };
  if (!isMap(root)) {
    throw inputError(`${printable(path)} is not a list of keys and values.`, {
      code: 'bad-config',
      suggestions: ['Write one `key: value` a line, for example `layers: 4`.'],
    });
  }
  const lines = new Map<string, number>();
  const visit = (node: unknown, prefix: string) => {
    if (!isMap(node)) return;
    for (const { key, value } of node.items) {
      const name = `${prefix}${isScalar(key) ? String(key.value) : String(key)}`;
      const start = (key as { range?: [number, number, number] | null }).range?.[0] ?? 0;
      lines.set(name, lineCounter.linePos(start).line);
      visit(value, `${name}.`);
    }
  };
  visit(root, '');
  return { path, values: valuesOf(document, path), lines };
}

/** Aliases that refer to aliases can stand for more values than memory holds: yaml counts them and stops. */
function valuesOf(document: Document.Parsed, path: string): Record<string, unknown> {
  try {
    return document.toJS({ maxAliasCount: 100 }) as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw inputError(`${printable(path)} uses too many aliases, or one that is not defined.`, {
      code: 'bad-config',
      cause: error,
    });
  }
}
