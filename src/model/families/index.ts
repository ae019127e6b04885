import { inputError } from '../../errors.js';
import { printable } from '../../io/printable.js';
import { configReader, type JsonObject } from './config-reader.js';
import type { Family } from './family.js';
import { gemma } from './gemma.js';
import { gemma2 } from './gemma2.js';
import { gptNeox } from './gpt-neox.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import { minicpm } from './minicpm.js';
import { olmo2 } from './olmo2.js';
import { opt } from './opt.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import type { FamilySpec } from './spec.js';
import { familyTensors, type TensorSource } from './tensors.js';

export { describeFamily } from './describe.js';
export type { FamilySpec } from './spec.js';
export { familyTensors, type TensorSource, takeTensor } from './tensors.js';

/** Every family; a new one is a file and a line here. */
export const FAMILIES: readonly Family[] = [
  llama,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  olmo2,
  minicpm,
  gptNeox,
  opt,
  gpt2,
];

export interface FamilyReading {
  spec: FamilySpec;
  /**
   * For each tensor of `familyTensors` where it lies among the stored ones.
   * @param stored names of all tensors of the checkpoint
   * @throws SparselawError (status 3) naming a tensor that is missing or that no part of the model reads
   */
  locate(stored: Iterable<string>): Map<string, TensorSource>;
  /** The same by the names of transformers' class with the head, whatever the file calls its tensors. */
  source(name: string): TensorSource;
}

/**
 * Reads the config.json of a foreign checkpoint.
 * @param path names the file in messages
 * @throws SparselawError (status 3) naming the family, activation or option that is not supported
 */
export function readFamily(config: JsonObject, path: string): FamilyReading {
  const reader = configReader(config, path);
  const family = FAMILIES.find(({ types }) => types.includes(reader.family));
  if (!family) {
    const known = FAMILIES.flatMap(({ types }) => types).join(', ');
    throw inputError(
      `${printable(path)}: models of type ${printable(JSON.stringify(config.model_type ?? null), 80)} are not supported.`,
      {
        code: 'unsupported-model',
        suggestions: [`Supported types: ${known}.`],
      },
    );
  }
  if (config.quantization_config) throw reader.refuse('the option "quantization_config"');
  // transformers writes these into every file.
  for (const key of ['is_encoder_decoder', 'add_cross_attention']) reader.only(key, false);
  reader.only('is_decoder', true, false);
  const spec = family.read(reader);
  reader.finish();
  return {
    spec,
    locate: (stored) => locate(family, spec, new Set(stored), path),
    source: (name) => family.source(name, spec),
  };
}

function locate(
  family: Family,
  spec: FamilySpec,
  stored: Set<string>,
  path: string,
): Map<string, TensorSource> {
  const wrong = (message: string) =>
    inputError(`${path}: ${message}`, {
      code: 'bad-tensor',
      suggestions: ['Check that config.json belongs to the weights, and that no shard is missing.'],
    });
  const sources = new Map(
    Object.keys(familyTensors(spec)).map((name) => [name, family.source(name, spec)] as const),
  );
  // Saved without the head's class, names lack the base model's prefix.
  const isBare = ![...stored].some((name) => name.startsWith(family.prefix));
  const bare = (name: string) =>
    isBare && name.startsWith(family.prefix) ? name.slice(family.prefix.length) : name;
  const wanted = new Set<string>();
  for (const [name, source] of sources) {
    const found = bare(source.name);
    if (!stored.has(found)) throw wrong(`the tensor ${found} is missing.`);
    wanted.add(found);
    sources.set(name, { ...source, name: found });
  }
  // A tied head may be stored all the same.
  const head = family.source('lm_head.weight', spec).name;
  for (const name of stored) {
    if (wanted.has(name) || family.ignored?.test(name) || (spec.tieEmbeddings && name === head)) continue;
    throw wrong(`the tensor ${name} has no place in a model of type ${JSON.stringify(spec.family)}.`);
  }
  return sources;
}
