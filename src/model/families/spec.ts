import type { ActivationName } from '../activations/names.js';

/**
 * A decoder of some foreign family, in the terms that `forward.ts` computes. All sizes in elements.
 * Everything a family fixes without saying so in its config.json is spelled out here.
 */
export interface FamilySpec {
  /** `model_type` of config.json. */
  family: string;
  layers: number;
  width: number;
  ff: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  vocabSize: number;
  activation: ActivationName;
  gated: boolean;
  tieEmbeddings: boolean;
  /** `max_position_embeddings`; null where positions have no bound. */
  maxPositions: number | null;
  norm: NormSpec;
  /** Which places of a block are normalised; the final norm is always there. */
  blockNorms: BlockNorms;
  /** Attention and FFN both read the block's input, and both are added to it (GPT-NeoX). */
  parallel: boolean;
  /** Which linear layers have a bias. */
  biases: { queryKeyValue: boolean; attentionOutput: boolean; ffn: boolean };
  /** RMS norm of queries and keys: over each head, or over all heads of a token together. */
  queryKeyNorm: 'none' | 'head' | 'all-heads';
  positions: RotarySpec | { kind: 'learned'; rows: number; offset: number };
  /** Factor on query·key. */
  attentionScale: number;
  /** Of each layer: a query sees itself and window − 1 tokens before it; null for all of them. */
  windows: readonly (number | null)[];
  /** c·tanh(x / c) on attention scores and on logits; null for none. */
  attentionCap: number | null;
  logitCap: number | null;
  /** Factors on the embedding, on what each half block adds to the residual stream, and on the head's input. */
  scaleEmbedding: number;
  scaleBlock: number;
  scaleHead: number;
}

export interface NormSpec {
  /** `rms-plus-one`: the gain is 1 + weight (Gemma). `layer`: mean subtracted, with a bias. */
  kind: 'rms' | 'rms-plus-one' | 'layer';
  epsilon: number;
}

/** Inputs and outputs of a block's two halves. */
export interface BlockNorms {
  attentionInput: boolean;
  attentionOutput: boolean;
  ffnInput: boolean;
  ffnOutput: boolean;
}

export const PRE_NORMS: BlockNorms = {
  attentionInput: true,
  attentionOutput: false,
  ffnInput: true,
  ffnOutput: false,
};

export interface RotarySpec {
  kind: 'rotary';
  /** The first elements of each head that rotate, paired (i, i + rotated/2). */
  rotated: number;
  /** Angle per position of each pair; some scaling types depend on the sequence's length. */
  frequencies(length: number): Float32Array;
  /** Factor on cos and sin (YaRN, LongRoPE). */
  magnitude: number;
  /** How the frequencies were scaled, for people. */
  scaling: string;
  theta: number;
}

/** What every family has in common unless it says otherwise: a Llama. */
export const LLAMA_DEFAULTS = {
  gated: true,
  blockNorms: PRE_NORMS,
  parallel: false,
  biases: { queryKeyValue: false, attentionOutput: false, ffn: false },
  queryKeyNorm: 'none',
  attentionCap: null,
  logitCap: null,
  scaleEmbedding: 1,
  scaleBlock: 1,
  scaleHead: 1,
} as const satisfies Partial<FamilySpec>;
