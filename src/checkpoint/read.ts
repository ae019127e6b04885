import { join } from 'node:path';
import { inputError } from '../errors.js';
import { type CheckpointState, checkpointPaths } from '../files/run.js';
import { sha256File } from '../io/hash.js';
import { printable } from '../io/printable.js';
import { readFloatTensors } from '../io/safetensors.js';
import type { HostParameters } from '../model/fold-mup.js';
import { checkParameters, parameterShapes } from '../model/parameters.js';
import type { ModelShape } from '../model/shape.js';
import { readOwnShape } from './hugging-face.js';
import { readState } from './state.js';
import { FIRST_MOMENT, RAW_PARAMETER, SECOND_MOMENT } from './write.js';

export interface CheckpointParameters {
  /** Of the model as exported: without μP multipliers, which are folded into the weights. */
  shape: ModelShape;
  parameters: Map<string, { shape: number[]; data: Float32Array }>;
}

/**
 * The weights of a checkpoint of ours.
 * @throws SparselawError (status 3) naming the file or tensor that is missing, foreign or of another shape
 */
export async function readCheckpointParameters(checkpoint: string): Promise<CheckpointParameters> {
  const paths = checkpointPaths(checkpoint);
  const shape = await readOwnShape(paths.config);
  const parameters = await readFloatTensors(paths.model);
  checkParameters(shape, parameters);
  return { shape, parameters };
}

/** What training continues from. */
export interface TrainingState {
  state: CheckpointState;
  stateSha256: string;
  parameters: HostParameters;
  firstMoment: HostParameters;
  secondMoment: HostParameters;
}

/**
 * Reads the full state of a checkpoint, after checking the hash of every file: damage is never trained on.
 * @param shape the model being trained (with its μP multipliers)
 * @throws SparselawError (status 3) naming the file that is missing or damaged
 */
export async function readTrainingState(checkpoint: string, shape: ModelShape): Promise<TrainingState> {
  const paths = checkpointPaths(checkpoint);
  const { state, sha256: stateSha256 } = await readState(paths.state);
  for (const [name, expected] of Object.entries(state.files)) {
    const path = join(checkpoint, name);
    if ((await sha256File(path)) !== expected) {
      throw inputError(`${printable(path)} was changed after it was written.`, {
        code: 'damaged-checkpoint',
        suggestions: [`sparselaw checkpoint verify ${printable(checkpoint)}`],
      });
    }
  }
  const optimizer = await readFloatTensors(paths.optimizer);
  const trained = shape.mup ? optimizer : await readFloatTensors(paths.model);
  const group = (tensors: typeof trained, prefix: string, path: string) =>
    Object.fromEntries(
      Object.entries(parameterShapes(shape)).map(([name, dims]) => {
        const tensor = tensors.get(prefix + name);
        if (tensor?.shape.join() !== dims.join()) {
          throw inputError(
            `${printable(path)}: tensor ${prefix}${name} is [${tensor?.shape ?? 'missing'}], not [${dims}].`,
            { code: 'bad-tensor' },
          );
        }
        return [name, tensor.data];
      }),
    );
  return {
    state,
    stateSha256,
    parameters: group(trained, shape.mup ? RAW_PARAMETER : '', shape.mup ? paths.optimizer : paths.model),
    firstMoment: group(optimizer, FIRST_MOMENT, paths.optimizer),
    secondMoment: group(optimizer, SECOND_MOMENT, paths.optimizer),
  };
}
