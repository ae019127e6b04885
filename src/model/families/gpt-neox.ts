import { type Family, noWindows } from './family.js';
import { readRotary } from './rotary.js';
import { LLAMA_DEFAULTS } from './spec.js';
import type { TensorSource } from './tensors.js';

const PARTS: Readonly<Record<string, string>> = {
  'self_attn.o_proj': 'attention.dense',
  'mlp.up_proj': 'mlp.dense_h_to_4h',
  'mlp.down_proj': 'mlp.dense_4h_to_h',
};
const THIRDS = ['q_proj', 'k_proj', 'v_proj'];

/** GPT-NeoX (Pythia): LayerNorm, parallel halves, part of each head rotates, FFN without gate, biases everywhere. */
export const gptNeox: Family = {
  types: ['gpt_neox'],
  prefix: 'gpt_neox.',
  ignored: /attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/,
  source: (name, spec): TensorSource => {
    const outside: Record<string, string> = {
      'model.embed_tokens.weight': 'gpt_neox.embed_in.weight',
      'model.norm.weight': 'gpt_neox.final_layer_norm.weight',
      'model.norm.bias': 'gpt_neox.final_layer_norm.bias',
      'lm_head.weight': 'embed_out.weight',
    };
    if (outside[name]) return { name: outside[name] };
    const [, layer, part, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name)!;
    const index = THIRDS.indexOf(part!.replace('self_attn.', ''));
    const theirs = index >= 0 ? 'attention.query_key_value' : (PARTS[part!] ?? part);
    // Rows are ordered head by head, each with its query, key and value.
    const third = index >= 0 ? { third: { index: index as 0 | 1 | 2, groups: spec.heads } } : {};
    return { name: `gpt_neox.layers.${layer}.${theirs}.${kind}`, ...third };
  },
  read: (config) => {
    const width = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const layers = config.size('num_hidden_layers');
    const headDim = width / heads;
    if (!Number.isInteger(headDim)) throw config.refuse(`width ${width} with ${heads} heads`);
    const maxPositions = config.size('max_position_embeddings', 2048);
    const attentionBias = config.flag('attention_bias', true);
    return {
      ...LLAMA_DEFAULTS,
      family: config.family,
      layers,
      width,
      ff: config.size('intermediate_size', 24576),
      heads,
      kvHeads: heads,
      headDim,
      vocabSize: config.size('vocab_size'),
      maxPositions,
      gated: false,
      activation: config.activation('hidden_act', 'gelu'),
      tieEmbeddings: config.flag('tie_word_embeddings', false),
      norm: { kind: 'layer', epsilon: config.number('layer_norm_eps', 1e-5) },
      parallel: config.flag('use_parallel_residual', true),
      biases: { queryKeyValue: attentionBias, attentionOutput: attentionBias, ffn: true },
      positions: readRotary(config, {
        headDim,
        maxPositions,
        thetaKey: 'rotary_emb_base',
        shareKey: 'rotary_pct',
        defaultShare: 0.25,
      }),
      attentionScale: headDim ** -0.5,
      windows: noWindows(layers),
    };
  },
};
