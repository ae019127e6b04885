import { basename } from 'node:path';
import { finiteOnly, openForeign, weightFiles } from '../checkpoint/foreign.js';
import { readOwnShape } from '../checkpoint/hugging-face.js';
import { readState } from '../checkpoint/state.js';
import { verifyCheckpoint } from '../checkpoint/verify.js';
import type { HostTensor } from '../engine/index.js';
import { inputError } from '../errors.js';
import { checkpointPaths } from '../files/run.js';
import type { SparsityMeasurement } from '../files/sparsity.js';
import { sha256, sha256File } from '../io/hash.js';
import { printable } from '../io/printable.js';
import { eachFloatTensor, floatRoom, readSafetensorsHeader } from '../io/safetensors.js';
import { familyHiddenStates, familyLogits } from '../model/families/forward.js';
import { checkParameters } from '../model/parameters.js';
import { parameterCounts } from '../model/shape.js';
import { tokenLosses } from '../model/transformer.js';
import { downProjectionNames, type MeasuredModel, nativeModel } from './model.js';
import type { Target } from './targets.js';

export interface LoadedModel {
  model: MeasuredModel;
  /** Equal for checkpoints whose programs are the same. */
  structure: string;
  facts: SparsityMeasurement['model'];
  /** Where positions are bounded. */
  maxPositions: number | null;
  /** Whether padding sequences of one length to another leaves their positions as they are (some RoPE scalings not). */
  mayPad(length: number, padded: number): boolean;
}

/**
 * Identity of a checkpoint's weights: the hash of its file, or of its shards' hashes in order of names.
 * @throws SparselawError (status 3) naming the tensor where those of a checkpoint of ours are not what was written
 */
export async function weightsHash(target: Target): Promise<string> {
  const hashes: string[] = [];
  for (const file of await weightFiles(target.path)) hashes.push(await sha256File(file));
  const hash = hashes.length === 1 ? hashes[0]! : sha256(hashes.join('\n'));
  if (target.kind === 'own') await requireAsWritten(target.path, hash);
  return hash;
}

async function requireAsWritten(checkpoint: string, hash: string): Promise<void> {
  const paths = checkpointPaths(checkpoint);
  const { state } = await readState(paths.state);
  const file = basename(paths.model);
  if (state.files[file] === hash) return;
  const { problems } = await verifyCheckpoint(checkpoint);
  const tensor = problems.find((problem) => problem.file === file)?.tensor;
  const what = tensor === undefined ? '' : `, tensor ${printable(tensor)},`;
  throw inputError(`${printable(paths.model)}${what} was changed after it was written.`, {
    code: 'damaged-checkpoint',
    suggestions: [
      `sparselaw checkpoint verify ${printable(checkpoint)}`,
      `Measured all the same, as anyone's model, it is without ${basename(paths.state)}.`,
    ],
  });
}

/**
 * What a checkpoint is, from its configuration and the headers of its weights; these are read when `tensors` of the
 * model asks for them.
 * @throws SparselawError (status 3) naming the file, tensor or option that is wrong
 */
export async function loadModel(target: Target): Promise<LoadedModel> {
  if (target.kind === 'foreign') return loadForeign(target.path);
  const paths = checkpointPaths(target.path);
  const shape = await readOwnShape(paths.config);
  checkParameters(shape, (await readSafetensorsHeader(paths.model)).tensors);
  async function* tensors(): AsyncGenerator<[string, HostTensor]> {
    const reading = { room: floatRoom(), onPart: finiteOnly(paths.model) };
    for await (const [name, { shape: dims, data }] of eachFloatTensor(paths.model, undefined, reading)) {
      yield [name, { dtype: 'float32', shape: dims, values: data }];
    }
  }
  const counts = parameterCounts(shape);
  return {
    model: nativeModel(shape, tensors),
    structure: JSON.stringify(shape),
    maxPositions: null,
    mayPad: () => true,
    facts: {
      family: 'sparselaw',
      activation: shape.activation,
      gated: shape.gated,
      layers: shape.layers,
      width: shape.width,
      ff: shape.ff,
      heads: shape.heads,
      vocabSize: shape.vocabSize,
      parametersTotal: counts.total,
      parametersNonEmbedding: counts.nonEmbedding,
    },
  };
}

async function loadForeign(folder: string): Promise<LoadedModel> {
  const { config, spec, shapes, read } = await openForeign(folder);
  async function* tensors(): AsyncGenerator<[string, HostTensor]> {
    const room = floatRoom();
    for (const name of Object.keys(shapes)) yield [name, await read(name, room)];
  }
  const sizes = Object.values(shapes).map((dims) => dims.reduce((product, dim) => product * dim, 1));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const embedding = spec.vocabSize * spec.width;
  return {
    structure: JSON.stringify(config),
    maxPositions: spec.maxPositions,
    mayPad: (length, padded) => {
      if (spec.positions.kind !== 'rotary') return true;
      const { frequencies } = spec.positions;
      return frequencies(length).join() === frequencies(padded).join();
    },
    facts: {
      family: spec.family,
      activation: spec.activation,
      gated: spec.gated,
      layers: spec.layers,
      width: spec.width,
      ff: spec.ff,
      heads: spec.heads,
      vocabSize: spec.vocabSize,
      parametersTotal: total,
      parametersNonEmbedding: total - embedding * (spec.tieEmbeddings ? 1 : 2),
    },
    model: {
      layers: spec.layers,
      ff: spec.ff,
      vocabSize: spec.vocabSize,
      tensors,
      downProjections: downProjectionNames(spec.layers),
      hiddenStates: (params, tokens, tap) => familyHiddenStates(spec, params, tokens, tap),
      logits: (params, hidden) => familyLogits(spec, params, hidden),
      losses: (params, hidden, targets) => tokenLosses(familyLogits(spec, params, hidden), targets),
    },
  };
}
