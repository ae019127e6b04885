import { EMBEDDING, FINAL_NORM } from './parameters.js';
import type { ModelShape } from './shape.js';

/** Weights on the host by name, row-major. */
export type HostParameters = Readonly<Record<string, Float32Array>>;

/**
 * Folds μP multipliers (Sparsing Law §3.1) into the weights, so that a plain Llama computes the same logits, up
 * to the rounding of one product a weight: scaleEmbedding into the embedding, scaleDepth/√layers into what a
 * block writes to the residual stream, the head's widthBase/width into the gain of the final norm. Under a tied
 * head that gain also undoes the embedding's scale, so that a tied model stays tied.
 * Neurons stay as they are, and all output norms of a layer change by one factor, so CETT and sparsity do not.
 * A shape without μP comes back as it is.
 */
export function foldMup(
  shape: ModelShape,
  parameters: HostParameters,
): { shape: ModelShape; parameters: HostParameters } {
  if (!shape.mup) return { shape, parameters };
  const { mup, ...plain } = shape;
  const folded = Object.entries(parameters).map(([name, values]) => {
    const factor = foldingFactor(shape, mup, name);
    return [name, factor === 1 ? values : values.map((value) => value * factor)];
  });
  return { shape: plain, parameters: Object.fromEntries(folded) };
}

function foldingFactor(shape: ModelShape, mup: NonNullable<ModelShape['mup']>, name: string): number {
  if (name === EMBEDDING) return mup.scaleEmbedding;
  if (name === FINAL_NORM)
    return mup.widthBase / shape.width / (shape.tieEmbeddings ? mup.scaleEmbedding : 1);
  const endsBlock = name.endsWith('.o_proj.weight') || name.endsWith('.down_proj.weight');
  return endsBlock ? mup.scaleDepth / Math.sqrt(shape.layers) : 1;
}
