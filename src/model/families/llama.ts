import { type Family, noWindows, readLlamaSizes, readWindow, renamed } from './family.js';
import { readRotary } from './rotary.js';
import { LLAMA_DEFAULTS } from './spec.js';

/**
 * Llama and what is stored under its name (Yi, SmolLM, Vicuna, TinyLlama …), Mistral (a sliding window in every
 * layer), and Arcee (a Llama without gates).
 */
export const llama: Family = {
  types: ['llama', 'mistral', 'arcee'],
  prefix: 'model.',
  ignored: /rotary_emb\.inv_freq$/,
  source: renamed(),
  read: (config) => {
    const sizes = readLlamaSizes(config);
    const isArcee = config.family === 'arcee';
    const isMistral = config.family === 'mistral';
    const maxPositions = config.size('max_position_embeddings', isMistral ? 131072 : isArcee ? 4096 : 2048);
    const window = isMistral ? readWindow(config) : null;
    const attentionBias = !isMistral && config.flag('attention_bias', false);
    // Leftovers in SmolLM's files.
    config.only('is_llama_config', true);
    config.only('rope_interleaved', false);
    return {
      ...LLAMA_DEFAULTS,
      ...sizes,
      family: config.family,
      maxPositions,
      gated: !isArcee,
      activation: config.activation('hidden_act', isArcee ? 'relu2' : 'silu'),
      tieEmbeddings: config.flag('tie_word_embeddings', false),
      norm: { kind: 'rms', epsilon: config.number('rms_norm_eps', isArcee ? 1e-5 : 1e-6) },
      biases: {
        queryKeyValue: attentionBias,
        attentionOutput: attentionBias,
        ffn: !isMistral && config.flag('mlp_bias', false),
      },
      positions: readRotary(config, { headDim: sizes.headDim, maxPositions }),
      attentionScale: sizes.headDim ** -0.5,
      windows: window === null ? noWindows(sizes.layers) : Array(sizes.layers).fill(window),
    };
  },
};
