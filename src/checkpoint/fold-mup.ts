import { EMBEDDING, HEAD } from '../model/parameters.js';
import type { ModelShape } from '../model/shape.js';

/** Weights on the host by name, row-major. */
export type HostParameters = Readonly<Record<string, Float32Array>>;

/**
 * Folds μP multipliers (Sparsing Law §3.1) into the weights, so that a plain Llama computes the same logits:
 * scaleEmbedding into the embedding, scaleDepth/√layers into what a block writes to the residual stream, and
 * widthBase/width into the head, which can then no longer be tied. A shape without μP comes back as it is.
 * The neurons are left alone; every output norm of a layer changes by the same factor, so sparsity does not.
 */
export function foldMup(
  shape: ModelShape,
  parameters: HostParameters,
): { shape: ModelShape; parameters: HostParameters } {
  if (!shape.mup) return { shape, parameters };
  const { mup, ...plain } = shape;
  const blockScale = mup.scaleDepth / Math.sqrt(shape.layers);
  const scale = (values: Float32Array, factor: number) => values.map((value) => value * factor);
  const folded: Record<string, Float32Array> = {};
  for (const [name, values] of Object.entries(parameters)) {
    if (name === EMBEDDING) folded[name] = scale(values, mup.scaleEmbedding);
    else if (/\.(o_proj|down_proj)\.weight$/.test(name)) folded[name] = scale(values, blockScale);
    else folded[name] = values;
  }
  const head = parameters[shape.tieEmbeddings ? EMBEDDING : HEAD]!;
  folded[HEAD] = scale(head, mup.widthBase / shape.width);
  return { shape: { ...plain, tieEmbeddings: false }, parameters: folded };
}
