import { type Family, readLayerTypes, readLlamaSizes, readWindow, renamed } from './family.js';
import { readRotary } from './rotary.js';
import { LLAMA_DEFAULTS } from './spec.js';

/** Gemma 2: Gemma with norms around both halves, soft caps on scores and logits, every other layer sliding. */
export const gemma2: Family = {
  types: ['gemma2'],
  prefix: 'model.',
  source: renamed({
    post_attention_layernorm: 'pre_feedforward_layernorm',
    attention_output_norm: 'post_attention_layernorm',
    ffn_output_norm: 'post_feedforward_layernorm',
  }),
  read: (config) => {
    const sizes = readLlamaSizes(config, { headDim: 256 });
    const maxPositions = config.size('max_position_embeddings', 8192);
    const attentionBias = config.flag('attention_bias', false);
    config.only('use_bidirectional_attention', false);
    // Old files name the activation twice; `hidden_activation` is the one that counts.
    config.raw('hidden_act');
    const window = readWindow(config);
    return {
      ...LLAMA_DEFAULTS,
      ...sizes,
      family: config.family,
      maxPositions,
      activation: config.activation('hidden_activation', 'gelu_pytorch_tanh'),
      tieEmbeddings: config.flag('tie_word_embeddings', true),
      norm: { kind: 'rms-plus-one', epsilon: config.number('rms_norm_eps', 1e-6) },
      blockNorms: { attentionInput: true, attentionOutput: true, ffnInput: true, ffnOutput: true },
      biases: { queryKeyValue: attentionBias, attentionOutput: attentionBias, ffn: false },
      positions: readRotary(config, { headDim: sizes.headDim, maxPositions }),
      attentionScale: config.number('query_pre_attn_scalar', 256) ** -0.5,
      windows: readLayerTypes(config, sizes.layers, window, (layer) => layer % 2 === 0),
      attentionCap: config.optional('attn_logit_softcapping', 50),
      logitCap: config.optional('final_logit_softcapping', 30),
      scaleEmbedding: Math.sqrt(sizes.width),
    };
  },
};
