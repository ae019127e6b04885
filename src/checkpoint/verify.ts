import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { SparselawError } from '../errors.js';
import { type CheckpointState, checkpointPaths, checkpointTokens } from '../files/run.js';
import { sha256, sha256File } from '../io/hash.js';
import { eachTensor } from '../io/safetensors.js';
import { readOwnShape } from './hugging-face.js';
import { readState } from './state.js';

/** One thing that is wrong with a checkpoint. */
export interface Problem {
  /** File of the checkpoint, or the checkpoint itself. */
  file: string;
  tensor?: string;
  message: string;
}

export interface Verification {
  checkpoint: string;
  path: string;
  tokens: number | null;
  step: number | null;
  /** Whether the optimiser's state is there, so that training could go on from here. */
  resumable: boolean;
  problems: Problem[];
}

/**
 * Checks that a checkpoint is what was written: the hash of every file and tensor, that weights are finite, and
 * that the parent it names is the one beside it. Never throws for damage: damage is what it reports.
 */
export async function verifyCheckpoint(checkpoint: string): Promise<Verification> {
  const path = resolve(checkpoint);
  const paths = checkpointPaths(path);
  const problems: Problem[] = [];
  const state = await attempt(problems, 'state.json', async () => (await readState(paths.state)).state);
  const base = { checkpoint: basename(path), path: checkpoint };
  if (!state) return { ...base, tokens: null, step: null, resumable: false, problems };
  for (const [name, expected] of Object.entries(state.files)) {
    if (name === basename(paths.optimizer) && !(await exists(paths.optimizer))) continue;
    await attempt(problems, name, async () => {
      if ((await sha256File(join(path, name))) === expected) {
        // Whole, but perhaps whole rubbish: a file of another run has tensors of its own.
        if (name === basename(paths.model)) problems.push(...(await nonFinite(join(path, name), name)));
        return;
      }
      const tensors = state.tensors[name];
      const damaged = tensors ? await damagedTensors(join(path, name), name, tensors) : [];
      problems.push(...damaged);
      if (damaged.length === 0) {
        const what = tensors ? 'its header was changed; every tensor is as written' : 'it was changed';
        problems.push({ file: name, message: what });
      }
    });
  }
  const isReadable = !problems.some(({ file }) => file === 'config.json');
  if (isReadable) await attempt(problems, 'config.json', () => readOwnShape(paths.config));
  await checkParent(path, state, problems);
  // Last, behind what matters more: a copy under another name is as whole as what it was copied from.
  if (checkpointTokens(basename(path)) !== state.tokens) {
    problems.push({ file: '.', message: `the folder's name does not say ${state.tokens} tokens` });
  }
  const { tokens, step } = state;
  return { ...base, tokens, step, resumable: await exists(paths.optimizer), problems };
}

/**
 * Verifies several checkpoints, and across them that no two steps hold the same weights, as they would had a
 * file been copied over another or an update been lost.
 */
export async function verifyCheckpoints(checkpoints: readonly string[]): Promise<Verification[]> {
  const results: Verification[] = [];
  const seen = new Map<string, string>();
  for (const checkpoint of checkpoints) {
    const result = await verifyCheckpoint(checkpoint);
    const model = checkpointPaths(resolve(checkpoint)).model;
    const hash = await sha256File(model).catch(() => undefined);
    const twin = hash === undefined ? undefined : seen.get(hash);
    if (twin !== undefined && twin !== result.checkpoint) {
      result.problems.push({
        file: basename(model),
        message: `holds the same weights as ${twin}, at another step`,
      });
    } else if (hash !== undefined) seen.set(hash, result.checkpoint);
    results.push(result);
  }
  return results;
}

async function checkParent(path: string, state: CheckpointState, problems: Problem[]): Promise<void> {
  if (!state.parent) return;
  const { checkpoint, stateSha256 } = state.parent;
  const parent = join(dirname(path), checkpoint);
  // Whoever keeps one checkpoint alone (a copy, a download) has no parent to compare with.
  if (!(await exists(parent))) return;
  const found = await sha256File(checkpointPaths(parent).state).catch(() => undefined);
  if (found !== stateSha256) {
    problems.push({ file: 'state.json', message: `does not descend from ${checkpoint} as that is now` });
  }
}

async function nonFinite(path: string, file: string): Promise<Problem[]> {
  const problems: Problem[] = [];
  for await (const [tensor, { data }] of eachTensor(path)) {
    if (data instanceof Float32Array && !data.every(Number.isFinite)) {
      problems.push({ file, tensor, message: 'holds values that are not finite' });
    }
  }
  return problems;
}

async function damagedTensors(
  path: string,
  file: string,
  expected: Readonly<Record<string, string>>,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const missing = new Set(Object.keys(expected));
  for await (const [tensor, { data }] of eachTensor(path)) {
    missing.delete(tensor);
    const hash = sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    if (hash !== expected[tensor])
      problems.push({ file, tensor, message: 'was changed after it was written' });
  }
  for (const tensor of missing) problems.push({ file, tensor, message: 'is missing' });
  return problems;
}

/** Turns an error that a user can cause into a problem of the file. */
async function attempt<T>(problems: Problem[], file: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SparselawError)) throw error;
    problems.push({ file, message: error.message });
    return undefined;
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
