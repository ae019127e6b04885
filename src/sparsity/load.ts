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
  const configPath = join(folder, 'config.json');
  const config = await readJson(configPath, z.looseObject({}));
  const { spec, locate } = readFamily(config, configPath);
  const files = await weightFiles(folder);
  const fileOf = new Map<string, string>();
  for (const file of files) {
    for (const name of (await readSafetensorsHeader(file)).tensors.keys()) fileOf.set(name, file);
  }
  const sources = locate(fileOf.keys());
  const parameters: Record<string, HostTensor> = {};
  let total = 0;
  for (const [name, dims] of Object.entries(familyTensors(spec))) {
    const source = sources.get(name)!;
    const file = fileOf.get(source.name)!;
    const stored = (await readFloatTensors(file, [source.name])).get(source.name)!;
    requireFinite(stored.data, file, source.name);
    const { shape, data } = takeTensor(source, stored);
    if (shape.join() !== dims.join()) {
      throw inputError(
        `${printable(file)}: tensor ${source.name} gives ${name} the shape [${shape}], not [${dims}].`,
        { code: 'bad-tensor', suggestions: ['Check that config.json belongs to the weights.'] },
      );
    }
    parameters[name] = { dtype: 'float32', shape, values: data };
    total += data.length;
  }
  const embedding = spec.vocabSize * spec.width;
  return {
    structure: JSON.stringify(config),
    maxPositions: spec.maxPositions,
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
