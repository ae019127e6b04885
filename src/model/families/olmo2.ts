import { type Family, noWindows, readLlamaSizes, renamed } from './family.js';
import { readRotary } from './rotary.js';
import { LLAMA_DEFAULTS } from './spec.js';

/** OLMo 2: norms behind both halves of a block instead of before, and over all heads' queries and keys. */
export const olmo2: Family = {
  types: ['olmo2'],
  prefix: 'model.',
  source: renamed({
    attention_output_norm: 'post_attention_layernorm',
    ffn_output_norm: 'post_feedforward_layernorm',
  }),
  read: (config) => {
    const sizes = readLlamaSizes(config);
    const maxPositions = config.size('max_position_embeddings', 2048);
    const attentionBias = config.flag('attention_bias', false);
    return {
      ...LLAMA_DEFAULTS,
      ...sizes,
      family: config.family,
      maxPositions,
      activation: config.activation('hidden_act', 'silu'),
      tieEmbeddings: config.flag('tie_word_embeddings', false),
      norm: { kind: 'rms', epsilon: config.number('rms_norm_eps', 1e-5) },
      blockNorms: { attentionInput: false, attentionOutput: true, ffnInput: false, ffnOutput: true },
      biases: { queryKeyValue: attentionBias, attentionOutput: attentionBias, ffn: false },
      queryKeyNorm: 'all-heads',
      positions: readRotary(config, { headDim: sizes.headDim, maxPositions }),
      attentionScale: sizes.headDim ** -0.5,
      windows: noWindows(sizes.layers),
    };
  },
};
