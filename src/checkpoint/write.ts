import { createHash } from 'node:crypto';
import { copyFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setImmediate as yieldToEvents } from 'node:timers/promises';
import { numericsError } from '../errors.js';
import {
  type CheckpointState,
  checkpointName,
  checkpointPaths,
  listCheckpoints,
  runPaths,
} from '../files/run.js';
import { writeFolderAtomic } from '../io/atomic.js';
import { withFile } from '../io/file-error.js';
import { sha256, sha256File } from '../io/hash.js';
import { type TensorToWrite, writeSafetensors } from '../io/safetensors.js';
import { foldMup, type HostParameters } from '../model/fold-mup.js';
import { parameterShapes } from '../model/parameters.js';
import type { ModelShape } from '../model/shape.js';
import { type HuggingFaceOptions, huggingFaceConfig } from './hugging-face.js';
import { stateText } from './state.js';

/** Prefixes of the tensors of optimizer.safetensors; PyTorch's names for the moments. */
export const FIRST_MOMENT = 'exp_avg.';
export const SECOND_MOMENT = 'exp_avg_sq.';
/** With μP the model file holds folded weights, so the trained ones lie here, bit for bit. */
export const RAW_PARAMETER = 'parameters.';

export interface CheckpointToWrite {
  run: string;
  shape: ModelShape;
  parameters: HostParameters;
  firstMoment: HostParameters;
  secondMoment: HostParameters;
  /** The tokenizer.json to copy. */
  tokenizer: string;
  model: HuggingFaceOptions;
  state: Omit<CheckpointState, 'schemaVersion' | 'files' | 'tensors' | 'selfSha256'>;
}

/**
 * Writes one checkpoint in Hugging Face's layout, under a temporary name that is renamed once all of it is on
 * the disk. A folder of that name, left by a discarded continuation, is replaced.
 * @returns the folder and the hash of its state.json
 * @throws SparselawError (status 5) naming the first tensor with a value that is not finite: nothing is written
 */
export async function writeCheckpoint(
  content: CheckpointToWrite,
): Promise<{ path: string; stateSha256: string }> {
  const { shape, state } = content;
  const shapes = parameterShapes(shape);
  for (const group of [content.parameters, content.firstMoment, content.secondMoment]) {
    await refuseNonFinite(group, state.step);
  }
  const folded = foldMup(shape, content.parameters);
  const model = tensorsOf(folded.parameters, parameterShapes(folded.shape));
  const optimizer = new Map([
    ...tensorsOf(content.firstMoment, shapes, FIRST_MOMENT),
    ...tensorsOf(content.secondMoment, shapes, SECOND_MOMENT),
    ...(shape.mup ? tensorsOf(content.parameters, shapes, RAW_PARAMETER) : []),
  ]);
  const target = join(runPaths(content.run).checkpoints, checkpointName(state.tokens));
  let text = '';
  await writeFolderAtomic(
    target,
    async (folder) => {
      const paths = checkpointPaths(folder);
      await writeSafetensors(paths.model, model, { format: 'pt' });
      await writeSafetensors(paths.optimizer, optimizer, { format: 'pt' });
      await copyFile(content.tokenizer, paths.tokenizer);
      await writeFile(paths.config, json(huggingFaceConfig(folded.shape, content.model)));
      await writeFile(paths.tokenizerConfig, json(tokenizerConfig(content.model)));
      const files: Record<string, string> = {};
      for (const name of (await readdir(folder)).sort()) files[name] = await sha256File(join(folder, name));
      const tensors = {
        [basename(paths.model)]: await hashesOf(model),
        [basename(paths.optimizer)]: await hashesOf(optimizer),
      };
      text = stateText({ schemaVersion: 1, ...state, files, tensors });
      await writeFile(paths.state, text);
    },
    { replace: true },
  );
  return { path: target, stateSha256: sha256(text) };
}

/**
 * Removes the optimiser state of all but the last `keepState` checkpoints; weights and state.json stay.
 * Interrupted anywhere, the next call finishes.
 */
export async function dropOldStates(run: string, keepState: number): Promise<void> {
  for (const { path } of (await listCheckpoints(run)).slice(0, -keepState)) {
    const { optimizer } = checkpointPaths(path);
    await withFile('write', optimizer, () => rm(optimizer, { force: true }));
  }
}

/** Elements looked at between two turns of the event loop, by which a training run goes on meanwhile. */
const ELEMENTS_A_TURN = 2 ** 18;

async function refuseNonFinite(parameters: HostParameters, step: number): Promise<void> {
  for (const [name, values] of Object.entries(parameters)) {
    for (let from = 0; from < values.length; from += ELEMENTS_A_TURN) {
      const part = values.subarray(from, from + ELEMENTS_A_TURN);
      let sum = 0;
      // 0 for every finite value, NaN for any other.
      for (let i = 0; i < part.length; i++) sum += part[i]! * 0;
      if (Number.isNaN(sum)) {
        throw numericsError(`The tensor ${name} holds values that are not finite after step ${step}.`, {
          code: 'non-finite',
          suggestions: ['Lower --learning-rate, or clip harder with --clip.'],
        });
      }
      await yieldToEvents();
    }
  }
}

function tensorsOf(
  parameters: HostParameters,
  shapes: Readonly<Record<string, number[]>>,
  prefix = '',
): Map<string, TensorToWrite> {
  return new Map(
    Object.entries(shapes).map(([name, shape]) => [
      prefix + name,
      { dtype: 'F32', shape, data: parameters[name]! },
    ]),
  );
}

async function hashesOf(tensors: ReadonlyMap<string, TensorToWrite>): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const [name, { data }] of tensors) {
    const hash = createHash('sha256');
    for (let from = 0; from < data.length; from += ELEMENTS_A_TURN) {
      hash.update(data.subarray(from, from + ELEMENTS_A_TURN));
      await yieldToEvents();
    }
    hashes[name] = hash.digest('hex');
  }
  return hashes;
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

const tokenizerConfig = ({ seqLen, endOfText }: HuggingFaceOptions) => ({
  tokenizer_class: 'PreTrainedTokenizerFast',
  model_max_length: seqLen,
  clean_up_tokenization_spaces: false,
  ...(endOfText === undefined ? {} : { bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' }),
});
