import { type Document, LineCounter, parseDocument } from 'yaml';
import { inputError } from '../errors.js';
import { yamlNestsTooDeep } from './json-scan.js';
import { printable } from './printable.js';

/** A parsed text, and what tells the line of a place in it. */
export interface YamlText {
  document: Document.Parsed;
  lineCounter: LineCounter;
}

/**
 * Parses a stranger's YAML (JSON is YAML).
 * @param code the error code of whose file it is, e.g. `bad-config`
 * @throws SparselawError (status 3) naming file, line and column of the first mistake
 */
export function parseYaml(text: string, path: string, code: string): YamlText {
  if (yamlNestsTooDeep(text)) throw inputError(`${printable(path)} nests its values too deep.`, { code });
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, uniqueKeys: true });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) {
    const { line, col } = lineCounter.linePos(problem.pos[0]);
    const what =
      problem.code === 'DUPLICATE_KEY' ? 'a key stands twice' : problem.message.split(/ at line|\n/)[0]!;
    throw inputError(`${printable(path)}, line ${line}, column ${col}: ${printable(what)}.`, { code });
  }
  return { document, lineCounter };
}
