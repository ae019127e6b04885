import { type Family, noWindows } from './family.js';
import { LLAMA_DEFAULTS } from './spec.js';
import type { TensorSource } from './tensors.js';

const PARTS: Readonly<Record<string, string>> = {
  input_layernorm: 'ln_1',
  post_attention_layernorm: 'ln_2',
  'self_attn.o_proj': 'attn.c_proj',
  'mlp.up_proj': 'mlp.c_fc',
  'mlp.down_proj': 'mlp.c_proj',
};
const THIRDS = ['q_proj', 'k_proj', 'v_proj'];

/** GPT-2: LayerNorm, learned positions, GELU without gate, biases; linear weights are stored [in, out]. */
export const gpt2: Family = {
  types: ['gpt2'],
  prefix: 'transformer.',
  ignored: /attn\.(bias|masked_bias)$/,
  source: (name): TensorSource => {
    const outside: Record<string, string> = {
      'model.embed_tokens.weight': 'transformer.wte.weight',
      'model.embed_positions.weight': 'transformer.wpe.weight',
      'model.norm.weight': 'transformer.ln_f.weight',
      'model.norm.bias': 'transformer.ln_f.bias',
      'lm_head.weight': 'lm_head.weight',
    };
    if (outside[name]) return { name: outside[name] };
    const [, layer, part, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name)!;
    const index = THIRDS.indexOf(part!.replace('self_attn.', ''));
    const theirs = index >= 0 ? 'attn.c_attn' : (PARTS[part!] ?? part);
    return {
      name: `transformer.h.${layer}.${theirs}.${kind}`,
      // Conv1D; vectors have no orientation.
      transposed: kind === 'weight' && !part!.endsWith('layernorm'),
      ...(index >= 0 ? { third: { index: index as 0 | 1 | 2, groups: 1 } } : {}),
    };
  },
  read: (config) => {
    const width = config.size('n_embd');
    const heads = config.size('n_head');
    const layers = config.size('n_layer');
    const maxPositions = config.size('n_positions', 1024);
    if (width % heads !== 0) throw config.refuse(`width ${width} with ${heads} heads`);
    config.only('scale_attn_by_inverse_layer_idx', false);
    // Another order of the same arithmetic.
    config.only('reorder_and_upcast_attn', false, true);
    return {
      ...LLAMA_DEFAULTS,
      family: config.family,
      layers,
      width,
      ff: config.size('n_inner', 4 * width),
      heads,
      kvHeads: heads,
      headDim: width / heads,
      vocabSize: config.size('vocab_size'),
      maxPositions,
      gated: false,
      activation: config.activation('activation_function', 'gelu_new'),
      tieEmbeddings: config.flag('tie_word_embeddings', true),
      norm: { kind: 'layer', epsilon: config.number('layer_norm_epsilon', 1e-5) },
      biases: { queryKeyValue: true, attentionOutput: true, ffn: true },
      positions: { kind: 'learned', rows: maxPositions, offset: 0 },
      attentionScale: config.flag('scale_attn_weights', true) ? (width / heads) ** -0.5 : 1,
      windows: noWindows(layers),
    };
  },
};
