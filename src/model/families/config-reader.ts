import { inputError } from '../../errors.js';
import { printable } from '../../io/printable.js';
import type { ActivationName } from '../activations/names.js';

/** Longest value of a config.json shown whole in a message. */
const MAX_SHOWN = 80;
/** What no model of interest exceeds: tables are made of these before the weights are looked at. */
const MAX_SIZE = 2 ** 24;
const MAX_LAYERS = 2 ** 12;

/** transformers' names of the activations we have; `gelu_new` and `gelu_pytorch_tanh` are one formula. */
const ACTIVATION_OF: Readonly<Record<string, ActivationName>> = {
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu2: 'relu2',
};

/** Keys that say nothing about the forward pass: bookkeeping, generation, training. */
const HARMLESS = new Set(
  `_attn_implementation_autoset _commit_hash _name_or_path architectures attention_dropout attn_pdrop auto_map
  bad_words_ids begin_suppress_tokens bos_token_id cache_implementation chunk_size_feed_forward classifier_dropout
  decoder_start_token_id diversity_penalty do_sample dropout dtype early_stopping embd_pdrop embedding_dropout
  encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty finetuning_task forced_bos_token_id
  forced_eos_token_id hidden_dropout id2label init_std initializer_range label2id layerdrop length_penalty max_length
  min_length model_type n_ctx no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_attentions
  output_hidden_states output_scores pad_token_id prefix pretraining_tp problem_type remove_invalid_values
  repetition_penalty resid_pdrop return_dict return_dict_in_generate sep_token_id sparselaw summary_activation
  summary_first_dropout summary_proj_to_labels summary_type summary_use_proj suppress_tokens task_specific_params
  temperature tf_legacy_loss tie_encoder_decoder tokenizer_class top_k top_p torch_dtype torchscript
  transformers.js_config transformers_version typical_p use_bfloat16 use_cache`.split(/\s+/),
);

export type JsonObject = Readonly<Record<string, unknown>>;

/** Reads a config.json key by key and remembers which, so that none is passed over in silence. */
export interface ConfigReader {
  readonly family: string;
  /** A positive whole number of bounded size; without `fallback` the key must be there (null counts as absent). */
  size(key: string, fallback?: number): number;
  /** A finite number, likewise. */
  number(key: string, fallback?: number): number;
  flag(key: string, fallback: boolean): boolean;
  /** A positive number, null where the file says null, `fallback` where it says nothing. */
  optional(key: string, fallback: number): number | null;
  activation(key: string, fallback?: string): ActivationName;
  /** Any value, undefined when absent or null. */
  raw(key: string): unknown;
  /** Refuses the model unless the key is absent, null or one of the values that change nothing. */
  only(key: string, ...values: readonly (boolean | number | string)[]): void;
  /** Refuses, by name, every key that nobody read and that is not known to be harmless; nulls are harmless. */
  finish(): void;
  /** @returns an error (status 3) that names the file, the family and what is not supported */
  refuse(what: string): Error;
}

export function configReader(config: JsonObject, path: string): ConfigReader {
  const family = String(config.model_type);
  const shown = (value: unknown) => printable(JSON.stringify(value) ?? 'nothing', MAX_SHOWN);
  const read = new Set<string>();
  const raw = (key: string): unknown => {
    read.add(key);
    return config[key] ?? undefined;
  };
  const refuse = (what: string) =>
    inputError(
      `${printable(path)}: ${printable(what)} is not supported for models of type ${shown(family)}.`,
      {
        code: 'unsupported-model',
        suggestions: ['A model that computes something else would be measured wrong, so nothing is guessed.'],
      },
    );
  const wrong = (key: string, wanted: string) =>
    inputError(`${printable(path)}: ${JSON.stringify(key)} must be ${wanted}, not ${shown(config[key])}.`, {
      code: 'bad-value',
      suggestions: ['Check that config.json is the one that belongs to the weights.'],
    });
  const number = (key: string, fallback?: number): number => {
    const value = raw(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(key, 'a number');
    return value;
  };
  return {
    family,
    raw,
    refuse,
    number,
    size: (key, fallback) => {
      const value = number(key, fallback);
      if (!Number.isInteger(value) || value < 1) throw wrong(key, 'a positive whole number');
      const most = /layers?$/.test(key) ? MAX_LAYERS : MAX_SIZE;
      if (value > most) throw wrong(key, `at most ${most}`);
      return value;
    },
    flag: (key, fallback) => {
      const value = raw(key) ?? fallback;
      if (typeof value !== 'boolean') throw wrong(key, 'true or false');
      return value;
    },
    optional: (key, fallback) => {
      if (raw(key) === undefined) return Object.hasOwn(config, key) ? null : fallback;
      const value = number(key);
      if (value <= 0) throw wrong(key, 'positive or null');
      return value;
    },
    activation: (key, fallback) => {
      const name = raw(key) ?? fallback;
      if (typeof name !== 'string') throw wrong(key, 'the name of an activation');
      const activation = Object.hasOwn(ACTIVATION_OF, name) ? ACTIVATION_OF[name] : undefined;
      if (!activation) throw refuse(`the activation ${shown(name)}`);
      return activation;
    },
    only: (key, ...values) => {
      const value = raw(key);
      if (value !== undefined && !values.includes(value as never))
        throw refuse(`the option ${shown(key)}: ${shown(value)}`);
    },
    finish: () => {
      for (const [key, value] of Object.entries(config)) {
        if (read.has(key) || HARMLESS.has(key) || value === null) continue;
        throw refuse(`the option ${shown(key)}: ${shown(value)}`);
      }
    },
  };
}
