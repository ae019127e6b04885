import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { readState } from '../checkpoint/state.js';
import { inputError } from '../errors.js';
import { checkpointPaths, listCheckpoints, runPaths } from '../files/run.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';

/** One checkpoint to measure, and where its results go. */
export interface Target {
  kind: 'own' | 'foreign';
  path: string;
  /** Name of the checkpoint's folder. */
  checkpoint: string;
  /** Folder of the run it belongs to (own checkpoints). */
  run?: string;
  runId: string | null;
  tokens: number | null;
  step: number | null;
}

const isOwn = async (checkpoint: string) => {
  const { config, state } = checkpointPaths(checkpoint);
  if (!existsSync(config) || !existsSync(state)) return false;
  return 'sparselaw' in (await readJson(config, z.looseObject({})));
};

/**
 * The checkpoints that a path names: all of a run, one of ours, or a folder as transformers writes it.
 * @throws SparselawError (status 3) for anything else
 */
export async function resolveTarget(path: string): Promise<Target[]> {
  if (existsSync(runPaths(path).checkpoints)) {
    const entries = await listCheckpoints(path);
    if (entries.length === 0) {
      throw inputError(`${printable(path)} has no checkpoints yet.`, { code: 'no-checkpoints' });
    }
    return Promise.all(entries.map((entry) => ownTarget(entry.path)));
  }
  if (!existsSync(path)) {
    throw inputError(`${printable(path)} does not exist.`, { code: 'missing-file' });
  }
  if (await isOwn(path)) return [await ownTarget(path)];
  if (existsSync(join(path, 'config.json'))) {
    const checkpoint = basename(resolve(path));
    return [{ kind: 'foreign', path, checkpoint, runId: null, tokens: null, step: null }];
  }
  throw inputError(
    `${printable(path)} is neither a run folder nor a checkpoint: no checkpoints/, no config.json.`,
    { code: 'not-a-checkpoint', suggestions: ['Give RUN, RUN/checkpoints/NAME or a Hugging Face folder.'] },
  );
}

async function ownTarget(path: string): Promise<Target> {
  const { state } = await readState(checkpointPaths(path).state);
  const run = dirname(dirname(resolve(path)));
  return {
    kind: 'own',
    path,
    checkpoint: basename(resolve(path)),
    run,
    runId: basename(run),
    tokens: state.tokens,
    step: state.step,
  };
}
