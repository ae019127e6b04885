import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { inputError } from '../errors.js';
import { type CheckpointState, checkpointPaths, listCheckpoints } from '../files/run.js';
import { withFile } from '../io/file-error.js';
import { printable } from '../io/printable.js';
import { describeFamily } from '../model/families/describe.js';
import { layerName } from '../model/parameters.js';
import { type ModelShape, type ParameterCounts, parameterCounts } from '../model/shape.js';
import { openForeign, weightFiles } from './foreign.js';
import { readOwnShape } from './hugging-face.js';
import { readState } from './state.js';

/** A line of `checkpoint list`. */
export interface CheckpointSummary {
  checkpoint: string;
  path: string;
  step: number;
  tokens: number;
  phase: CheckpointState['phase'];
  validationLossNatsPerToken: number | null;
  /** Whether the optimiser's state is there. */
  resumable: boolean;
  /** False for what an interruption saved between two points of the schedule. */
  scheduled: boolean;
  bytes: number;
}

export interface CheckpointDetails extends CheckpointSummary {
  shape: ModelShape;
  parameters: ParameterCounts;
  parent: string | null;
  modelSha256: string;
  runId: string;
}

/** @throws SparselawError (status 3) for a folder without checkpoints, or one with a damaged state.json */
export async function summarizeRun(run: string): Promise<CheckpointSummary[]> {
  const checkpoints = await listCheckpoints(run);
  if (checkpoints.length === 0) {
    throw inputError(`${printable(run)} holds no checkpoints.`, {
      code: 'no-checkpoints',
      suggestions: [
        isForeign(run)
          ? `It is a checkpoint itself: sparselaw checkpoint show ${printable(run)}`
          : 'Name a run folder, as `sparselaw train --out RUN` makes it.',
      ],
    });
  }
  const summaries: CheckpointSummary[] = [];
  for (const { path } of checkpoints) summaries.push(await summarize(path));
  return summaries;
}

/** A checkpoint of another program, as transformers writes it. */
export interface ForeignDetails {
  checkpoint: string;
  path: string;
  /** What was understood of its config.json, in words. */
  description: Record<string, string>;
  parameters: number;
  /** As most weights are stored, e.g. `BF16`. */
  dtype: string;
  bytes: number;
}

/** Whether a folder is a checkpoint that another program wrote. */
export const isForeign = (folder: string): boolean => {
  const { config, state } = checkpointPaths(folder);
  return existsSync(config) && !existsSync(state);
};

/** @throws SparselawError (status 3) when it is of no supported family, or its tensors do not fit */
export async function describeForeign(folder: string): Promise<ForeignDetails> {
  const { spec, shapes, dtypeOf } = await openForeign(folder);
  const size = (dims: readonly number[]) => dims.reduce((product, dim) => product * dim, 1);
  let bytes = 0;
  for (const file of await weightFiles(folder)) bytes += (await stat(file)).size;
  return {
    checkpoint: basename(resolve(folder)),
    path: folder,
    description: describeFamily(spec),
    parameters: Object.values(shapes).reduce((sum, dims) => sum + size(dims), 0),
    dtype: dtypeOf(layerName(0, 'mlp.down_proj')),
    bytes,
  };
}

async function summarize(checkpoint: string): Promise<CheckpointSummary> {
  const { state } = await readState(checkpointPaths(checkpoint).state);
  const names = await withFile('read', checkpoint, () => readdir(checkpoint));
  let bytes = 0;
  for (const name of names) bytes += (await stat(join(checkpoint, name))).size;
  const { step, tokens, phase, validationLossNatsPerToken, scheduled } = state;
  return {
    checkpoint: basename(resolve(checkpoint)),
    path: checkpoint,
    step,
    tokens,
    phase,
    validationLossNatsPerToken,
    resumable: names.includes(basename(checkpointPaths(checkpoint).optimizer)),
    scheduled,
    bytes,
  };
}

/** @throws SparselawError (status 3) when the folder is not a checkpoint of ours */
export async function describeCheckpoint(checkpoint: string): Promise<CheckpointDetails> {
  const paths = checkpointPaths(checkpoint);
  if (!existsSync(paths.state)) {
    const why = existsSync(checkpoint) ? 'is no checkpoint, nor a run with one' : 'does not exist';
    throw inputError(`${printable(checkpoint)} ${why}.`, {
      code: 'not-a-checkpoint',
      suggestions: ['Give RUN, RUN/checkpoints/NAME or a Hugging Face folder.'],
    });
  }
  const [summary, { state }, shape] = [
    await summarize(checkpoint),
    await readState(paths.state),
    await readOwnShape(paths.config),
  ];
  return {
    ...summary,
    shape,
    parameters: parameterCounts(shape),
    parent: state.parent?.checkpoint ?? null,
    modelSha256: state.files[basename(paths.model)] ?? '',
    runId: state.runId,
  };
}
