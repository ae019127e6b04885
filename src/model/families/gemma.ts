import { type Family, noWindows, readLlamaSizes, renamed } from './family.js';
import { readRotary } from './rotary.js';
import { LLAMA_DEFAULTS } from './spec.js';

/** Gemma: embeddings times √width, norm gains 1 + weight, GELU, a tied head. */
export const gemma: Family = {
  types: ['gemma'],
  prefix: 'model.',
  source: renamed(),
  read: (config) => {
    const sizes = readLlamaSizes(config, { headDim: 256 });
    const maxPositions = config.size('max_position_embeddings', 8192);
    const attentionBias = config.flag('attention_bias', false);
    config.only('use_bidirectional_attention', false);
    // The first release says "gelu" and means its tanh form, as transformers documents.
    config.only('hidden_activation', 'gelu_pytorch_tanh');
    const named = config.raw('hidden_act') ?? 'gelu_pytorch_tanh';
    return {
      ...LLAMA_DEFAULTS,
      ...sizes,
      family: config.family,
      maxPositions,
      activation: named === 'gelu' ? 'gelu_tanh' : config.activation('hidden_act', 'gelu_pytorch_tanh'),
      tieEmbeddings: config.flag('tie_word_embeddings', true),
      norm: { kind: 'rms-plus-one', epsilon: config.number('rms_norm_eps', 1e-6) },
      biases: { queryKeyValue: attentionBias, attentionOutput: attentionBias, ffn: false },
      positions: readRotary(config, { headDim: sizes.headDim, maxPositions }),
      attentionScale: sizes.headDim ** -0.5,
      windows: noWindows(sizes.layers),
      scaleEmbedding: Math.sqrt(sizes.width),
    };
  },
};
