import { type Family, noWindows, readLlamaSizes, renamed } from './family.js';
import { readRotary } from './rotary.js';
import { LLAMA_DEFAULTS } from './spec.js';

/**
 * MiniCPM (1B, 2B): a Llama with the μP multipliers of the paper's own models (Sparsing Law §3.1).
 * Its class lives with its checkpoints, not in transformers; defaults are those of that class.
 */
export const minicpm: Family = {
  types: ['minicpm'],
  prefix: 'model.',
  ignored: /rotary_emb\.inv_freq$/,
  source: renamed(),
  read: (config) => {
    const sizes = readLlamaSizes(config);
    const maxPositions = config.size('max_position_embeddings', 2048);
    config.only('attention_bias', false);
    return {
      ...LLAMA_DEFAULTS,
      ...sizes,
      family: config.family,
      maxPositions,
      activation: config.activation('hidden_act', 'silu'),
      tieEmbeddings: config.flag('tie_word_embeddings', true),
      norm: { kind: 'rms', epsilon: config.number('rms_norm_eps', 1e-6) },
      positions: readRotary(config, { headDim: sizes.headDim, maxPositions }),
      attentionScale: sizes.headDim ** -0.5,
      windows: noWindows(sizes.layers),
      scaleEmbedding: config.number('scale_emb', 1),
      scaleBlock: config.number('scale_depth', 1) / Math.sqrt(sizes.layers),
      scaleHead: config.number('dim_model_base', 1) / sizes.width,
    };
  },
};
