import { type Family, noWindows } from './family.js';
import { LLAMA_DEFAULTS } from './spec.js';
import type { TensorSource } from './tensors.js';

const PARTS: Readonly<Record<string, string>> = {
  'self_attn.o_proj': 'self_attn.out_proj',
  input_layernorm: 'self_attn_layer_norm',
  post_attention_layernorm: 'final_layer_norm',
  'mlp.up_proj': 'fc1',
  'mlp.down_proj': 'fc2',
};

/** transformers keeps two rows before the first position's. */
const POSITION_OFFSET = 2;

/** OPT: LayerNorm, learned positions, ReLU without gate, biases. Not its 350m form (norms behind, projections). */
export const opt: Family = {
  types: ['opt'],
  prefix: 'model.',
  source: (name): TensorSource => {
    const outside: Record<string, string> = {
      'model.embed_tokens.weight': 'model.decoder.embed_tokens.weight',
      'model.embed_positions.weight': 'model.decoder.embed_positions.weight',
      'model.norm.weight': 'model.decoder.final_layer_norm.weight',
      'model.norm.bias': 'model.decoder.final_layer_norm.bias',
      'lm_head.weight': 'lm_head.weight',
    };
    if (outside[name]) return { name: outside[name] };
    const [, layer, part, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name)!;
    return { name: `model.decoder.layers.${layer}.${PARTS[part!] ?? part}.${kind}` };
  },
  read: (config) => {
    const width = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const layers = config.size('num_hidden_layers');
    const maxPositions = config.size('max_position_embeddings', 2048);
    const bias = config.flag('enable_bias', true);
    if (width % heads !== 0) throw config.refuse(`width ${width} with ${heads} heads`);
    config.only('do_layer_norm_before', true);
    config.only('_remove_final_layer_norm', false);
    config.only('word_embed_proj_dim', width);
    config.only('layer_norm_elementwise_affine', true);
    return {
      ...LLAMA_DEFAULTS,
      family: config.family,
      layers,
      width,
      ff: config.size('ffn_dim'),
      heads,
      kvHeads: heads,
      headDim: width / heads,
      vocabSize: config.size('vocab_size'),
      maxPositions,
      gated: false,
      activation: config.activation('activation_function', 'relu'),
      tieEmbeddings: config.flag('tie_word_embeddings', true),
      // PyTorch's default: OPT's file does not say.
      norm: { kind: 'layer', epsilon: 1e-5 },
      biases: { queryKeyValue: bias, attentionOutput: bias, ffn: bias },
      positions: { kind: 'learned', rows: maxPositions + POSITION_OFFSET, offset: POSITION_OFFSET },
      attentionScale: (width / heads) ** -0.5,
      windows: noWindows(layers),
    };
  },
};
