import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readCheckpointParameters } from '../checkpoint/read.js';
import type { HostTensor } from '../engine/index.js';
import { inputError } from '../errors.js';
import type { SparsityMeasurement } from '../files/sparsity.js';
import { sha256, sha256File } from '../io/hash.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';
import { readFloatTensors, readSafetensorsHeader } from '../io/safetensors.js';
import { familyHiddenStates, familyLogits } from '../model/families/forward.js';
import { familyTensors, readFamily, takeTensor } from '../model/families/index.js';
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

/** Files of weights in a folder: one, or the shards that the index lists. */
async function weightFiles(folder: string): Promise<string[]> {
  const index = join(folder, 'model.safetensors.index.json');
  if (!existsSync(index)) return [join(folder, 'model.safetensors')];
  const schema = z.looseObject({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+$/)) });
  const { weight_map: map } = await readJson(index, schema);
  const files = [...new Set(Object.values(map))].sort().map((name) => join(folder, name));
  for (const file of files) {
    if (!existsSync(file)) {
      throw inputError(`${printable(file)} is missing: model.safetensors.index.json lists it.`, {
        code: 'missing-shard',
        suggestions: ['Download the whole checkpoint.'],
      });
    }
  }
  return files;
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

/** A foreign folder opened: what the model is, and its tensors by our names, read one at a time. */
export async function openForeign(folder: string) {
  const configPath = join(folder, 'config.json');
  const config = await readJson(configPath, z.looseObject({}));
  const { spec, locate, source: nameOf } = readFamily(config, configPath);
  const entries = new Map<string, { file: string; dtype: string }>();
  for (const file of await weightFiles(folder)) {
    for (const [name, { dtype }] of (await readSafetensorsHeader(file)).tensors) {
      entries.set(name, { file, dtype });
    }
  }
  const sources = locate(entries.keys());
  const shapes = familyTensors(spec);
  const read = async (name: string): Promise<HostTensor> => {
    const source = sources.get(name)!;
    const { file } = entries.get(source.name)!;
    const stored = (await readFloatTensors(file, [source.name])).get(source.name)!;
    requireFinite(stored.data, file, source.name);
    const { shape, data } = takeTensor(source, stored);
    if (shape.join() !== shapes[name]!.join()) {
      throw inputError(
        `${printable(file)}: tensor ${source.name} gives ${name} the shape [${shape}], not [${shapes[name]}].`,
        { code: 'bad-tensor', suggestions: ['Check that config.json belongs to the weights.'] },
      );
    }
    return { dtype: 'float32', shape, values: data };
  };
  return {
    config,
    spec,
    names: Object.keys(shapes),
    read,
    /** Name of the tensor in transformers' class. */
    nameOf: (name: string) => nameOf(name).name,
    /** As stored, e.g. `BF16`. */
    dtypeOf: (name: string) => entries.get(sources.get(name)!.name)!.dtype,
  };
}

async function loadForeign(folder: string): Promise<LoadedModel> {
  const { config, spec, names, read } = await openForeign(folder);
  const parameters: Record<string, HostTensor> = {};
  let total = 0;
  for (const name of names) {
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

function requireFinite(data: Float32Array, file: string, name: string): void {
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  throw inputError(`${printable(file)}: tensor ${printable(name)} holds ${data[bad]} at element ${bad}.`, {
    code: 'non-finite-weights',
    suggestions: ['The run diverged or the file is damaged: measure an earlier checkpoint.'],
  });
}
