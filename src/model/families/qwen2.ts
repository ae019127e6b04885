import { type Family, readLayerTypes, readLlamaSizes, readWindow, renamed } from './family.js';
import { readRotary } from './rotary.js';
import { LLAMA_DEFAULTS } from './spec.js';

/** Qwen2 and 2.5: a Llama with biases on query, key and value, and sliding windows in the upper layers on request. */
export const qwen2: Family = {
  types: ['qwen2'],
  prefix: 'model.',
  source: renamed(),
  read: (config) => {
    const sizes = readLlamaSizes(config);
    const maxPositions = config.size('max_position_embeddings', 32768);
    const isSliding = config.flag('use_sliding_window', false);
    const window = readWindow(config);
    const firstSliding = config.number('max_window_layers', 28);
    return {
      ...LLAMA_DEFAULTS,
      ...sizes,
      family: config.family,
      maxPositions,
      activation: config.activation('hidden_act', 'silu'),
      tieEmbeddings: config.flag('tie_word_embeddings', false),
      norm: { kind: 'rms', epsilon: config.number('rms_norm_eps', 1e-6) },
      biases: { queryKeyValue: true, attentionOutput: false, ffn: false },
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
