import { join } from 'node:path';
import { openForeign, requireFinite, weightFiles } from '../checkpoint/foreign.js';
import { readCheckpointParameters } from '../checkpoint/read.js';
import type { HostTensor } from '../engine/index.js';
import type { SparsityMeasurement } from '../files/sparsity.js';
import { sha256, sha256File } from '../io/hash.js';
import { familyHiddenStates, familyLogits } from '../model/families/forward.js';
import { layerName } from '../model/parameters.js';
import { parameterCounts } from '../model/shape.js';
import { tokenLosses } from '../model/transformer.js';
import { columnNorms, type MeasuredModel, nativeModel } from './model.js';
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

/** Identity of a checkpoint's weights: the hash of its file, or of its shards' hashes in order of names. */
export async function weightsHash(target: Target): Promise<string> {
  const hashes: string[] = [];
  for (const file of await weightFiles(target.path)) hashes.push(await sha256File(file));
  return hashes.length === 1 ? hashes[0]! : sha256(hashes.join('\n'));
}

/**
 * Reads a checkpoint's weights into memory.
 * @throws SparselawError (status 3) naming the file, tensor or option that is wrong
 */
export async function loadModel(target: Target): Promise<LoadedModel> {
  if (target.kind === 'foreign') return loadForeign(target.path);
  const { shape, parameters } = await readCheckpointParameters(target.path);
  for (const [name, { data }] of parameters) {
    requireFinite(data, join(target.path, 'model.safetensors'), name);
  }
  const counts = parameterCounts(shape);
  return {
    model: nativeModel(shape, parameters),
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
  const parameters: Record<string, HostTensor> = {};
  let total = 0;
  for (const name of Object.keys(shapes)) {
    parameters[name] = await read(name);
    total += parameters[name].values.length;
  }
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
      parameters,
      downNorms: Array.from({ length: spec.layers }, (_, layer) =>
        columnNorms(parameters[layerName(layer, 'mlp.down_proj')]!.values, spec.width, spec.ff),
      ),
      hiddenStates: (params, tokens, tap) => familyHiddenStates(spec, params, tokens, tap),
      logits: (params, hidden) => familyLogits(spec, params, hidden),
      losses: (params, hidden, targets) => tokenLosses(familyLogits(spec, params, hidden), targets),
    },
  };
}
