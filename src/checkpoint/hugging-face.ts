import { z } from 'zod';
import { inputError } from '../errors.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';
import { ACTIVATIONS } from '../model/activations/index.js';
import { ACTIVATION_NAMES } from '../model/activations/names.js';
import { checkShape, type ModelShape } from '../model/shape.js';

/** Where transformers has no class for a model, its config.json says so by this name, and transformers refuses it. */
const OWN_TYPE = 'sparselaw';

/** The class of transformers that computes what this shape computes, if there is one. */
function architectureOf(shape: ModelShape): { model_type: string; architectures: [string] } {
  const activation = ACTIVATIONS[shape.activation];
  // Without a gate dReLU is ReLU, whatever its name.
  const isKnown = activation.huggingFaceName !== null || (!shape.gated && activation.onUp);
  if (!isKnown) return { model_type: OWN_TYPE, architectures: ['SparselawForCausalLM'] };
  return shape.gated
    ? { model_type: 'llama', architectures: ['LlamaForCausalLM'] }
    : { model_type: 'arcee', architectures: ['ArceeForCausalLM'] };
}

/** What no model of interest exceeds: tables are made of these before the weights are looked at. */
const MAX_LAYERS = 2 ** 12;
const size = z.int().max(2 ** 24);

/** The part of config.json that we read back: the shape itself, since Llama's keys cannot say all of it. */
const ownBlockSchema = z.strictObject({
  schemaVersion: z.literal(1),
  shape: z.strictObject({
    layers: z.int().max(MAX_LAYERS),
    width: size,
    ff: size,
    heads: size,
    kvHeads: size,
    headDim: size,
    vocabSize: size,
    activation: z.enum(ACTIVATION_NAMES),
    gated: z.boolean(),
    tieEmbeddings: z.boolean(),
    ropeTheta: z.number(),
    normEpsilon: z.number(),
  }),
});

export interface HuggingFaceOptions {
  /** Length of the training sequences. */
  seqLen: number;
  /** Standard deviation of the hidden matrices' initial weights, for the record. */
  initialDeviation: number;
  /** Id of the token that ends a document, where the tokenizer has one. */
  endOfText?: number;
}

/**
 * The config.json of a checkpoint, as transformers reads it: Llama, Arcee (a Llama without gates), or, where
 * transformers has neither, our own model type. μP multipliers must be folded into the weights before.
 */
export function huggingFaceConfig(shape: ModelShape, options: HuggingFaceOptions): Record<string, unknown> {
  if (shape.mup) throw new Error('μP multipliers have no place in a Llama config: fold them first');
  const { huggingFaceName } = ACTIVATIONS[shape.activation];
  return {
    ...architectureOf(shape),
    hidden_act: huggingFaceName ?? 'relu',
    vocab_size: shape.vocabSize,
    hidden_size: shape.width,
    intermediate_size: shape.ff,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    max_position_embeddings: options.seqLen,
    rms_norm_eps: shape.normEpsilon,
    rope_theta: shape.ropeTheta,
    rope_scaling: null,
    attention_bias: false,
    attention_dropout: 0,
    mlp_bias: false,
    tie_word_embeddings: shape.tieEmbeddings,
    initializer_range: options.initialDeviation,
    bos_token_id: options.endOfText ?? null,
    eos_token_id: options.endOfText ?? null,
    pad_token_id: null,
    torch_dtype: 'float32',
    use_cache: true,
    sparselaw: { schemaVersion: 1, shape },
  };
}

/**
 * The shape in the config.json of a checkpoint of ours.
 * @throws SparselawError (status 3) when the file is another program's, or wrong
 */
export async function readOwnShape(path: string): Promise<ModelShape> {
  const { sparselaw } = await readJson(path, z.looseObject({ sparselaw: z.unknown() }));
  if (sparselaw === undefined) {
    throw inputError(`${printable(path)} was not written by sparselaw.`, { code: 'foreign-checkpoint' });
  }
  const block = ownBlockSchema.safeParse(sparselaw);
  if (!block.success) {
    const issue = block.error.issues[0]!;
    throw inputError(
      `${printable(path)}: "sparselaw.${issue.path.join('.')}": ${printable(issue.message)}.`,
      { code: 'bad-value' },
    );
  }
  return checkShape(block.data.shape);
}
