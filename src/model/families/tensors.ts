import { EMBEDDING, FINAL_NORM, HEAD } from '../parameters.js';
import type { FamilySpec } from './spec.js';

/** Learned positions, one row each. */
export const POSITIONS = 'model.embed_positions.weight';

/**
 * Every tensor that a model of this spec needs, by our names, with its shape ([out, in] for linear layers).
 * They are those of `parameterShapes` where a Llama has them; `post_attention_layernorm` is always the norm in
 * front of the FFN; `attention_output_norm` and `ffn_output_norm` follow the two halves of a block.
 */
export function familyTensors(spec: FamilySpec): Record<string, number[]> {
  const { width, ff, headDim, blockNorms, biases } = spec;
  const [queries, keys] = [spec.heads * headDim, spec.kvHeads * headDim];
  const shapes: Record<string, number[]> = { [EMBEDDING]: [spec.vocabSize, width] };
  const norm = (name: string, size = width) => {
    shapes[`${name}.weight`] = [size];
    if (spec.norm.kind === 'layer') shapes[`${name}.bias`] = [size];
  };
  const linear = (name: string, out: number, input: number, bias: boolean) => {
    shapes[`${name}.weight`] = [out, input];
    if (bias) shapes[`${name}.bias`] = [out];
  };
  if (spec.positions.kind === 'learned') shapes[POSITIONS] = [spec.positions.rows, width];
  for (let layer = 0; layer < spec.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    if (blockNorms.attentionInput) norm(`${prefix}.input_layernorm`);
    linear(`${prefix}.self_attn.q_proj`, queries, width, biases.queryKeyValue);
    linear(`${prefix}.self_attn.k_proj`, keys, width, biases.queryKeyValue);
    linear(`${prefix}.self_attn.v_proj`, keys, width, biases.queryKeyValue);
    if (spec.queryKeyNorm !== 'none') {
      const perHead = spec.queryKeyNorm === 'head';
      norm(`${prefix}.self_attn.q_norm`, perHead ? headDim : queries);
      norm(`${prefix}.self_attn.k_norm`, perHead ? headDim : keys);
    }
    linear(`${prefix}.self_attn.o_proj`, width, queries, biases.attentionOutput);
    if (blockNorms.attentionOutput) norm(`${prefix}.attention_output_norm`);
    if (blockNorms.ffnInput) norm(`${prefix}.post_attention_layernorm`);
    if (spec.gated) linear(`${prefix}.mlp.gate_proj`, ff, width, biases.ffn);
    linear(`${prefix}.mlp.up_proj`, ff, width, biases.ffn);
    linear(`${prefix}.mlp.down_proj`, width, ff, biases.ffn);
    if (blockNorms.ffnOutput) norm(`${prefix}.ffn_output_norm`);
  }
  norm(FINAL_NORM.replace(/\.weight$/, ''));
  if (!spec.tieEmbeddings) shapes[HEAD] = [spec.vocabSize, width];
  return shapes;
}

/** Where one of our tensors lies in a checkpoint. */
export interface TensorSource {
  /** The stored tensor's name. */
  name: string;
  /** Stored [in, out] (GPT-2's Conv1D). */
  transposed?: boolean;
  /** Only every third part of the rows (after transposing): query, key and value fused, `groups` times over. */
  third?: { index: 0 | 1 | 2; groups: number };
}

/** Our tensor from the stored one; the very same data where nothing moves. */
export function takeTensor(
  { transposed, third }: TensorSource,
  stored: { shape: readonly number[]; data: Float32Array },
): { shape: number[]; data: Float32Array } {
  let { shape, data } = { shape: [...stored.shape], data: stored.data };
  if (transposed && shape.length === 2) {
    const [rows, columns] = shape as [number, number];
    const turned = new Float32Array(data.length);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) turned[c * rows + r] = data[r * columns + c]!;
    [shape, data] = [[columns, rows], turned];
  }
  if (!third) return { shape, data };
  const part = data.length / 3 / third.groups;
  const taken = new Float32Array(data.length / 3);
  for (let group = 0; group < third.groups; group++) {
    const from = (group * 3 + third.index) * part;
    taken.set(data.subarray(from, from + part), group * part);
  }
  return { shape: [shape[0]! / 3, ...shape.slice(1)], data: taken };
}
