import type { ConfigReader } from './config-reader.js';
import type { FamilySpec } from './spec.js';
import type { TensorSource } from './tensors.js';

/** One family of foreign checkpoints: how its config.json and its tensors map on the common forward. */
export interface Family {
  /** `model_type` values that it reads. */
  types: readonly string[];
  /** @throws SparselawError (status 3) for options that it does not compute */
  read(config: ConfigReader): FamilySpec;
  /** Where a tensor of `familyTensors` lies. */
  source(name: string, spec: FamilySpec): TensorSource;
  /** Prefix of the base model's tensors, absent in files saved without the head's class. */
  prefix: string;
  /** Stored tensors that are no parameters: masks, rotary tables. */
  ignored?: RegExp;
}

/** Sizes by the names that Llama and most of its kin use. */
export function readLlamaSizes(config: ConfigReader, defaults: { headDim?: number } = {}) {
  const width = config.size('hidden_size');
  const heads = config.size('num_attention_heads');
  const headDim = config.size('head_dim', defaults.headDim ?? width / heads);
  const kvHeads = config.size('num_key_value_heads', heads);
  if (heads % kvHeads !== 0) throw config.refuse(`${heads} heads over ${kvHeads} key heads`);
  return {
    layers: config.size('num_hidden_layers'),
    width,
    ff: config.size('intermediate_size'),
    heads,
    kvHeads,
    headDim,
    vocabSize: config.size('vocab_size'),
  };
}

/** Keys that a query sees at most, itself included; null for all. A file that says nothing means transformers' 4096. */
export function readWindow(config: ConfigReader): number | null {
  const window = config.optional('sliding_window', 4096);
  if (window !== null && !Number.isInteger(window)) throw config.refuse(`a window of ${window} tokens`);
  return window;
}

/** No window in any layer. */
export const noWindows = (layers: number): null[] => Array.from({ length: layers }, () => null);

/**
 * The window of each layer where `layer_types` (transformers 5) may list them, else by `fallback`.
 * @throws SparselawError (status 3) for a kind of attention that is neither full nor sliding
 */
export function readLayerTypes(
  config: ConfigReader,
  layers: number,
  window: number | null,
  fallback: (layer: number) => boolean,
): (number | null)[] {
  const types = config.raw('layer_types');
  if (types !== undefined && (!Array.isArray(types) || types.length !== layers))
    throw config.refuse(`"layer_types" that is not a list of ${layers} names`);
  return Array.from({ length: layers }, (_, layer) => {
    const type = (types as unknown[] | undefined)?.[layer];
    if (type === undefined) return fallback(layer) ? window : null;
    if (type === 'full_attention') return null;
    if (type === 'sliding_attention' && window !== null) return window;
    throw config.refuse(`the layer type ${JSON.stringify(type)}`);
  });
}

/** Checkpoints whose tensors carry our names but for a few parts. */
export const renamed =
  (parts: Readonly<Record<string, string>> = {}) =>
  (name: string): TensorSource => {
    for (const [ours, theirs] of Object.entries(parts))
      if (name.includes(`.${ours}.`)) return { name: name.replace(`.${ours}.`, `.${theirs}.`) };
    return { name };
  };
