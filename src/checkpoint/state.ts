import { readFile } from 'node:fs/promises';
import { inputError } from '../errors.js';
import { type CheckpointState, checkpointStateSchema } from '../files/run.js';
import { withFile } from '../io/file-error.js';
import { sha256 } from '../io/hash.js';
import { checkValue, parseJson } from '../io/json.js';
import { printable } from '../io/printable.js';
import { decodeUtf8 } from '../io/utf8.js';

/** Text of state.json: a fixed form, so that its own hash covers every byte of it. */
export function stateText(state: Omit<CheckpointState, 'selfSha256'>): string {
  const body = checkpointStateSchema.omit({ selfSha256: true }).parse(state);
  const selfSha256 = sha256(JSON.stringify(body));
  return `${JSON.stringify({ ...body, selfSha256 }, null, 2)}\n`;
}

/**
 * Reads state.json and checks that it is what was written, byte for byte.
 * @throws SparselawError (status 3) when it is missing, not ours, or changed since
 */
export async function readState(path: string): Promise<{ state: CheckpointState; sha256: string }> {
  const bytes = await withFile('read', path, () => readFile(path));
  const text = decodeUtf8(bytes, path);
  const state = checkValue(parseJson(text, path), checkpointStateSchema, path);
  const { selfSha256: _, ...body } = state;
  if (stateText(body) !== text) {
    throw inputError(`${printable(path)} was changed after it was written.`, {
      code: 'damaged-checkpoint',
      suggestions: ['Resume from an earlier checkpoint, or restore this one from a copy.'],
    });
  }
  return { state, sha256: sha256(bytes) };
}
