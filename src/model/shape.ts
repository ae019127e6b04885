import { inputError } from '../errors.js';
import type { ActivationName } from './activations/names.js';

/** Multipliers of the paper's μP-style models (Sparsing Law §3.1, after MiniCPM). */
export interface MupScales {
  /** Multiplies the token embeddings; 12 in the paper. */
  scaleEmbedding: number;
  /** Each block's output is multiplied by scaleDepth / √layers before the residual add; 1.4 in the paper. */
  scaleDepth: number;
  /** The head reads h / (width / widthBase); 256 in the paper. */
  widthBase: number;
}

/** What determines a model's tensors and its function. Sizes are counts of elements. */
export interface ModelShape {
  layers: number;
  /** d_model. */
  width: number;
  /** d_ff: neurons a layer. */
  ff: number;
  heads: number;
  /** Key and value heads; each serves heads / kvHeads query heads. */
  kvHeads: number;
  headDim: number;
  vocabSize: number;
  activation: ActivationName;
  gated: boolean;
  tieEmbeddings: boolean;
  ropeTheta: number;
  normEpsilon: number;
  mup?: MupScales;
}

/**
 * Checks that sizes are positive integers that fit together.
 * @throws SparselawError (status 3) naming the key.
 */
export function checkShape(shape: ModelShape): ModelShape {
  const sizes = ['layers', 'width', 'ff', 'heads', 'kvHeads', 'headDim', 'vocabSize'] as const;
  for (const key of sizes) {
    if (!Number.isInteger(shape[key]) || shape[key] < 1)
      throw shapeError(`${key} must be a positive whole number, not ${shape[key]}.`, `Set ${key}.`);
  }
  for (const key of ['ropeTheta', 'normEpsilon'] as const) {
    if (!(shape[key] > 0)) throw shapeError(`${key} must be positive, not ${shape[key]}.`, `Set ${key}.`);
  }
  if (shape.heads % shape.kvHeads !== 0)
    throw shapeError(
      `heads (${shape.heads}) is not a multiple of kvHeads (${shape.kvHeads}).`,
      'Choose kvHeads that divides heads.',
    );
  if (shape.headDim % 2 !== 0)
    throw shapeError(
      `headDim (${shape.headDim}) is odd, but rotary positions pair its elements.`,
      'Choose width and heads so that width / heads is even.',
    );
  for (const [key, value] of Object.entries(shape.mup ?? {})) {
    if (!(value > 0)) throw shapeError(`mup.${key} must be positive, not ${value}.`, `Set mup.${key}.`);
  }
  return shape;
}

const shapeError = (message: string, suggestion: string) =>
  inputError(`The model's ${message}`, { code: 'bad-shape', suggestions: [suggestion] });

/** Numbers of parameters. A tied head has none of its own. */
export interface ParameterCounts {
  embedding: number;
  attention: number;
  ffn: number;
  norm: number;
  head: number;
  total: number;
  /** total − embedding − head: the paper's L(11.5d² + 2d) + d. */
  nonEmbedding: number;
}

export function parameterCounts(shape: ModelShape): ParameterCounts {
  const { layers, width, ff, heads, kvHeads, headDim, vocabSize } = shape;
  const embedding = vocabSize * width;
  const attention = layers * width * headDim * (2 * heads + 2 * kvHeads);
  const ffn = layers * width * ff * (shape.gated ? 3 : 2);
  const norm = width * (2 * layers + 1);
  const head = shape.tieEmbeddings ? 0 : embedding;
  const nonEmbedding = attention + ffn + norm;
  return { embedding, attention, ffn, norm, head, total: embedding + nonEmbedding + head, nonEmbedding };
}

/**
 * Training FLOPs per token, forward and backward, by the conventions in use; they differ by tens of percent on
 * small models, so a number is meaningless without the name. N counts parameters, a multiply-add is 2 FLOPs,
 * backward costs twice forward. Element-wise work is left out everywhere.
 */
export interface FlopsPerToken {
  /** 6N without embedding and head (Kaplan et al., arXiv 2001.08361, §2.1). */
  sixNonEmbedding: number;
  /** 6N of all parameters (Hoffmann et al., arXiv 2203.15556, as C = 6ND). */
  sixTotal: number;
  /** 6 × the parameters of matrix products, the head's (tied or not) included, the embedding's look-up not. */
  matrices: number;
  /** `matrices` and attention's two products over all seqLen positions: 12·layers·heads·headDim·seqLen (PaLM, arXiv 2204.02311, app. B). */
  matricesAndAttention: number;
}

export function flopsPerToken(shape: ModelShape, seqLen: number): FlopsPerToken {
  const counts = parameterCounts(shape);
  const matrices = 6 * (counts.attention + counts.ffn + shape.vocabSize * shape.width);
  return {
    sixNonEmbedding: 6 * counts.nonEmbedding,
    sixTotal: 6 * counts.total,
    matrices,
    matricesAndAttention: matrices + attentionFlops(shape, seqLen),
  };
}

const attentionFlops = ({ layers, heads, headDim }: ModelShape, seqLen: number) =>
  12 * layers * heads * headDim * seqLen;
