import { inputError } from '../errors.js';
import { randomStream } from '../random.js';
import { type ModelShape, parameterCounts } from './shape.js';

/** Names of the tensors outside the blocks. */
export const EMBEDDING = 'model.embed_tokens.weight';
export const FINAL_NORM = 'model.norm.weight';
export const HEAD = 'lm_head.weight';

/** `model.layers.<layer>.<part>.weight`, as transformers' Llama names its tensors. */
export const layerName = (layer: number, part: string) => `model.layers.${layer}.${part}.weight`;

/**
 * Every tensor of a model with its shape, in the order in which they are used. Linear weights are [out, in].
 * Without a gate there is no `mlp.gate_proj`, as in transformers' Arcee (a Llama without gates).
 */
export function parameterShapes(shape: ModelShape): Record<string, number[]> {
  const { width, ff, vocabSize } = shape;
  const queries = shape.heads * shape.headDim;
  const keys = shape.kvHeads * shape.headDim;
  const shapes: Record<string, number[]> = { [EMBEDDING]: [vocabSize, width] };
  for (let layer = 0; layer < shape.layers; layer++) {
    shapes[layerName(layer, 'input_layernorm')] = [width];
    shapes[layerName(layer, 'self_attn.q_proj')] = [queries, width];
    shapes[layerName(layer, 'self_attn.k_proj')] = [keys, width];
    shapes[layerName(layer, 'self_attn.v_proj')] = [keys, width];
    shapes[layerName(layer, 'self_attn.o_proj')] = [width, queries];
    shapes[layerName(layer, 'post_attention_layernorm')] = [width];
    if (shape.gated) shapes[layerName(layer, 'mlp.gate_proj')] = [ff, width];
    shapes[layerName(layer, 'mlp.up_proj')] = [ff, width];
    shapes[layerName(layer, 'mlp.down_proj')] = [width, ff];
  }
  shapes[FINAL_NORM] = [width];
  if (!shape.tieEmbeddings) shapes[HEAD] = [vocabSize, width];
  return shapes;
}

/** Standard deviations of the normal initial weights; norms begin at 1. None is implied: all end in config.json. */
export interface InitialDeviations {
  embedding: number;
  /** Query, key and value projections. */
  attention: number;
  attentionOutput: number;
  /** Gate and up projections. */
  ffn: number;
  ffnOutput: number;
  /** Unused when the head is tied. */
  head: number;
}

/**
 * A usual choice: with μP scales the paper's (0.1 for the embedding, 0.1/√(width/widthBase) for every hidden
 * matrix, Sparsing Law §3.1); without, 0.02, and 0.02/√(2·layers) where a block writes to the residual (GPT-2).
 */
export function usualDeviations(shape: Pick<ModelShape, 'layers' | 'width' | 'mup'>): InitialDeviations {
  if (shape.mup) {
    const hidden = 0.1 / Math.sqrt(shape.width / shape.mup.widthBase);
    return {
      embedding: 0.1,
      attention: hidden,
      attentionOutput: hidden,
      ffn: hidden,
      ffnOutput: hidden,
      head: 0.1,
    };
  }
  const output = 0.02 / Math.sqrt(2 * shape.layers);
  return {
    embedding: 0.02,
    attention: 0.02,
    attentionOutput: output,
    ffn: 0.02,
    ffnOutput: output,
    head: 0.02,
  };
}

/** Which deviation a tensor takes, by the last part of its name; norms are absent. */
const DEVIATION_OF: Readonly<Record<string, keyof InitialDeviations>> = {
  embed_tokens: 'embedding',
  q_proj: 'attention',
  k_proj: 'attention',
  v_proj: 'attention',
  o_proj: 'attentionOutput',
  gate_proj: 'ffn',
  up_proj: 'ffn',
  down_proj: 'ffnOutput',
  lm_head: 'head',
};

/** Fresh weights: each tensor from its own stream, named after it, so adding a tensor changes no other. */
export function initialParameters(
  shape: ModelShape,
  deviations: InitialDeviations,
  seed: number,
): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(parameterShapes(shape)).map(([name, dims]) => {
      const size = dims.reduce((product, dim) => product * dim, 1);
      const key = DEVIATION_OF[name.split('.').at(-2)!];
      if (!key) return [name, new Float32Array(size).fill(1)];
      const deviation = deviations[key];
      return [
        name,
        randomStream(seed, name)
          .normal(size)
          .map((value) => value * deviation),
      ];
    }),
  );
}

/**
 * Checks that `tensors` are exactly those of `shape`, and that their element counts sum to `parameterCounts`.
 * @throws SparselawError (status 3) naming the first tensor that is missing, unexpected or of another shape.
 */
export function checkParameters(
  shape: ModelShape,
  tensors: ReadonlyMap<string, { shape: readonly number[] }>,
): void {
  const expected = parameterShapes(shape);
  let total = 0;
  for (const [name, dims] of Object.entries(expected)) {
    const found = tensors.get(name);
    if (!found) throw tensorError(`The tensor ${name} is missing.`);
    if (found.shape.join() !== dims.join())
      throw tensorError(
        `The tensor ${name} has shape [${found.shape}], but the configuration asks for [${dims}].`,
      );
    total += dims.reduce((product, dim) => product * dim, 1);
  }
  for (const name of tensors.keys()) {
    if (!(name in expected)) throw tensorError(`The tensor ${name} is not part of the configured model.`);
  }
  const counted = parameterCounts(shape).total;
  if (total !== counted) throw new Error(`Counted ${counted} parameters, but the tensors hold ${total}.`);
}

const tensorError = (message: string) =>
  inputError(message, {
    code: 'bad-tensor',
    suggestions: ['Check that config.json and model.safetensors belong together.'],
  });

/** Whether weight decay applies by default: to matrices, not to norms (every other tensor is a vector). */
export const isMatrix = (dims: readonly number[]) => dims.length > 1;

/**
 * The factor on the peak learning rate of one tensor: with μP scales, hidden matrices take
 * 1 / (width / widthBase) and norms, embedding and head take 1 (Sparsing Law §3.2); without, all take 1.
 */
export function learningRateFactor(shape: ModelShape, name: string): number {
  const hidden = name.endsWith('_proj.weight');
  return shape.mup && hidden ? shape.mup.widthBase / shape.width : 1;
}
