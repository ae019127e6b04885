import { type Family, readLayerTypes, readLlamaSizes, readWindow, renamed } from './family.js';
import { readRotary } from './rotary.js';
import { LLAMA_DEFAULTS } from './spec.js';

/** Qwen3 (dense): a Llama whose queries and keys are normalised head by head; its head size is its own. */
export const qwen3: Family = {
  types: ['qwen3'],
  prefix: 'model.',
  source: renamed(),
  read: (config) => {
    const sizes = readLlamaSizes(config, { headDim: 128 });
    const maxPositions = config.size('max_position_embeddings', 32768);
    const isSliding = config.flag('use_sliding_window', false);
    const window = readWindow(config);
    const firstSliding = config.number('max_window_layers', 28);
    const attentionBias = config.flag('attention_bias', false);
    return {
      ...LLAMA_DEFAULTS,
      ...sizes,
      family: config.family,
      maxPositions,
      activation: config.activation('hidden_act', 'silu'),
      tieEmbeddings: config.flag('tie_word_embeddings', false),
      norm: { kind: 'rms', epsilon: config.number('rms_norm_eps', 1e-6) },
      queryKeyNorm: 'head',
      biases: { queryKeyValue: attentionBias, attentionOutput: attentionBias, ffn: false },
      positions: readRotary(config, { headDim: sizes.headDim, maxPositions }),
      attentionScale: sizes.headDim ** -0.5,
      windows: readLayerTypes(
        config,
        sizes.layers,
        isSliding ? window : null,
        (layer) => isSliding && layer >= firstSliding,
      ),
    };
  },
};
