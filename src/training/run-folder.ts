import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readTrainingState, type TrainingState } from '../checkpoint/read.js';
import { type Config, configDifferences, readConfigFile, resolveConfig, shapeOf } from '../config.js';
import { inputError, SparselawError } from '../errors.js';
import { type CheckpointEntry, listCheckpoints, runPaths } from '../files/run.js';
import { writeFileAtomic } from '../io/atomic.js';
import { withFile } from '../io/file-error.js';
import { printable } from '../io/printable.js';
import { readProvenance } from './provenance.js';

/** What a folder named by `--out` holds. */
export type FolderContent = 'nothing' | 'run';

/** Tells a folder that is free or a run from one that is somebody else's. @throws SparselawError (status 3) */
export async function inspectFolder(run: string): Promise<FolderContent> {
  const names = await withFile('read', run, () =>
    readdir(run).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code === 'ENOENT') return [];
      throw error;
    }),
  );
  if (names.includes(basename(runPaths(run).config))) return 'run';
  const foreign = names.find((name) => !name.startsWith('.'));
  if (foreign === undefined) return 'nothing';
  throw inputError(`${printable(run)} is not empty and not a run: it holds ${printable(foreign)}.`, {
    code: 'foreign-folder',
    suggestions: ['Choose another --out.'],
  });
}

/** The configuration of a run. @throws SparselawError (status 3) when config.json is not what a run writes */
export async function readRunConfig(run: string): Promise<Config> {
  return resolveConfig({ file: await readConfigFile(runPaths(run).config) });
}

export const writeRunConfig = (run: string, config: Config): Promise<void> =>
  writeFileAtomic(runPaths(run).config, `${JSON.stringify(config, null, 2)}\n`);

/**
 * Refuses to continue a run with another configuration. What was left to the machine (`engine: auto`, no
 * device, no number of them) is taken from the run.
 * @returns the configuration to continue with
 * @throws SparselawError (status 3) naming the keys that differ and their values
 */
export function continueConfig(run: string, asked: Config, stored: Config): Config {
  const filled: Config = {
    ...asked,
    engine: asked.engine === 'auto' ? stored.engine : asked.engine,
    device: asked.device ?? stored.device,
    devices: asked.devices ?? stored.devices,
  };
  const keys = configDifferences(filled, stored);
  if (keys.length === 0) return filled;
  const list = keys
    .slice(0, 3)
    .map((key) => `${key} ${JSON.stringify(stored[key])} there, ${JSON.stringify(filled[key])} here`);
  throw inputError(
    `${printable(run)} has another configuration: ${list.join('; ')}${keys.length > 3 ? `; and ${keys.length - 3} more` : ''}.`,
    {
      code: 'other-config',
      suggestions: [`sparselaw train --resume --out ${printable(run)}`, 'Or choose another --out.'],
    },
  );
}

/** @throws SparselawError (status 3) when the run was trained on other data */
export async function checkSameData(run: string, manifestSha256: string): Promise<void> {
  const provenance = await readProvenance(run);
  if (provenance && provenance.data.manifestSha256 !== manifestSha256) {
    throw inputError(
      `${printable(run)} was trained on another corpus: its hash is ${provenance.data.manifestSha256.slice(0, 12)}…, this one's ${manifestSha256.slice(0, 12)}….`,
      { code: 'other-data', suggestions: ['Give the corpus it began with as --data, or another --out.'] },
    );
  }
}

export interface ResumePoint extends TrainingState {
  checkpoint: CheckpointEntry;
}

/**
 * The last checkpoint that is whole and holds the optimiser's state.
 * @param onDamaged is told of each later one that had to be passed over
 * @throws SparselawError (status 3) when there are checkpoints, but none can be resumed from
 */
export async function findResumePoint(
  run: string,
  config: Config,
  onDamaged: (message: string) => void,
): Promise<ResumePoint | undefined> {
  const checkpoints = await listCheckpoints(run);
  let lastError: SparselawError | undefined;
  for (const checkpoint of checkpoints.toReversed()) {
    try {
      return { checkpoint, ...(await readTrainingState(checkpoint.path, shapeOf(config))) };
    } catch (error) {
      if (!(error instanceof SparselawError)) throw error;
      lastError ??= error;
      onDamaged(`${checkpoint.name} cannot be resumed from: ${error.message}`);
    }
  }
  if (!lastError) return undefined;
  throw inputError(`No checkpoint of ${printable(run)} can be resumed from; the last: ${lastError.message}`, {
    code: 'no-resume-point',
    suggestions: ['Restore a checkpoint from a copy, or train again with another --out.'],
    cause: lastError,
  });
}

/** Removes what killed processes left half-written; the caller holds the run's lock, so nobody is writing. */
export async function removeLeftovers(run: string): Promise<void> {
  const { checkpoints } = runPaths(run);
  const ours = /^\.(config\.json|provenance\.json|metrics\.jsonl|DONE|FAILED\.json|\d{15})\.tmp-/;
  for (const folder of [run, checkpoints]) {
    const names = await readdir(folder).catch(() => []);
    for (const name of names.filter((each) => ours.test(each))) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}
