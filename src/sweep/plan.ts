import { resolve } from 'node:path';
import type { Config } from '../config.js';
import { inputError, SparselawError } from '../errors.js';
import { readManifest } from '../files/manifest.js';
import { printable } from '../io/printable.js';
import { runName } from '../training/configure.js';
import { planRun, type TrainingPlan } from '../training/plan.js';
import { expandGrid } from './expand.js';
import type { GridFile } from './grid-file.js';
import { resolveRun } from './resolve-run.js';
import type { Sweep } from './sweep-file.js';

export interface PlannedRun {
  /** A name with the hash of the resolved configuration. */
  id: string;
  config: Config;
  plan: TrainingPlan;
}

export interface PlanOptions {
  /** A corpus that takes the place of the grid's. */
  data?: string;
  /** Go on without a corpus where the grid gives the size of its vocabulary; for planning alone. */
  withoutCorpus?: boolean;
}

/**
 * Every run of a grid, resolved; runs that come out the same are one.
 * @throws SparselawError (status 3) naming the grid's line, or a corpus that cannot be read
 */
export async function planGrid(file: GridFile, options: PlanOptions = {}): Promise<PlannedRun[]> {
  const runs = new Map<string, PlannedRun>();
  const vocabSizes = new Map<string, number | undefined>();
  for (const run of expandGrid(file)) {
    if (options.data !== undefined) run.values.data = options.data;
    const { data } = run.values;
    // A wrong type is the schema's to refuse, with its line.
    if (typeof data === 'string' && !vocabSizes.has(data)) {
      vocabSizes.set(data, await vocabSizeOf(data, options));
    }
    const config = resolveRun(run, file.path, vocabSizes.get(String(data)));
    const id = runName(config);
    if (!runs.has(id)) runs.set(id, { id, config, plan: planOf(config, file, run.lines.get('checkpoints')) });
  }
  return [...runs.values()];
}

async function vocabSizeOf(data: string, { withoutCorpus }: PlanOptions): Promise<number | undefined> {
  try {
    return (await readManifest(data)).tokenizer.vocabSize;
  } catch (error) {
    const isMissing = error instanceof SparselawError && error.code === 'missing-file';
    if (withoutCorpus && isMissing) return undefined;
    throw error;
  }
}

/** The schedule of checkpoints is read here first, so its mistakes get their line here. */
function planOf(config: Config, file: GridFile, line: number | undefined): TrainingPlan {
  try {
    return planRun(config);
  } catch (error) {
    if (!(error instanceof SparselawError)) throw error;
    const { code, suggestions } = error;
    throw inputError(`${printable(file.path)}, line ${line ?? '?'}: ${error.message}`, { code, suggestions });
  }
}

/** What sweep.json holds of a planned grid. */
export const sweepOf = (file: GridFile, runs: readonly PlannedRun[]): Sweep => {
  const { measure, table, fit, report, tensorboard, slurm } = file.grid;
  return {
    schemaVersion: 1,
    grid: { path: file.path, sha256: file.sha256 },
    folder: resolve('.'),
    ...{ measure, table, fit, report, tensorboard, slurm },
    runs: runs.map(({ id, config }) => ({ id, config })),
  };
};
