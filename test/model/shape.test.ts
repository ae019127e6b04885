import { describe, expect, it } from 'vitest';
import {
  checkParameters,
  initialParameters,
  learningRateFactor,
  parameterShapes,
  usualDeviations,
} from '../../src/model/parameters.js';
import { checkShape, flopsPerToken, type ModelShape, parameterCounts } from '../../src/model/shape.js';

const tiny: ModelShape = {
  layers: 2,
  width: 16,
  ff: 24,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  vocabSize: 32,
  activation: 'relu',
  gated: true,
  tieEmbeddings: false,
  ropeTheta: 1e4,
  normEpsilon: 1e-5,
};

/** The paper's scales (§3.1): d_model, d_ff, layers, heads and the counts it reports. */
const PAPER = [
  ['0.1B', 768, 1920, 16, 6, 1.086e8],
  ['0.2B', 1024, 2560, 20, 8, 2.412e8],
  ['0.4B', 1280, 3200, 24, 10, 4.523e8],
  ['0.8B', 1536, 3840, 28, 12, 7.598e8],
  ['1.2B', 1792, 4480, 32, 14, 1.182e9],
  ['2.4B', 2304, 5760, 40, 18, 2.442e9],
] as const;

describe('parameter counts', () => {
  it.each(PAPER)('agree with the paper at %s', (_, width, ff, layers, heads, expected) => {
    const shape = { ...tiny, width, ff, layers, heads, kvHeads: heads, headDim: 128, vocabSize: 122753 };
    const { nonEmbedding } = parameterCounts(shape);
    expect(nonEmbedding).toBe(layers * (11.5 * width ** 2 + 2 * width) + width);
    expect(Math.abs(nonEmbedding / expected - 1)).toBeLessThan(5e-4);
  });

  it.each([
    ['gated, untied', {}],
    ['gated, tied', { tieEmbeddings: true }],
    ['not gated', { gated: false }],
    ['head dimension of its own', { headDim: 6, kvHeads: 1 }],
  ])('sum to the tensors: %s', (_, change) => {
    const shape = { ...tiny, ...change };
    const tensors = initialParameters(shape, usualDeviations(shape), 1);
    const sizes = Object.values(tensors).map((values) => values.length);
    const counts = parameterCounts(shape);
    expect(sizes.reduce((a, b) => a + b)).toBe(counts.total);
    const { embedding, attention, ffn, norm, head, total } = counts;
    expect(embedding + attention + ffn + norm + head).toBe(total);
    const withShapes = new Map(Object.entries(parameterShapes(shape)).map(([n, s]) => [n, { shape: s }]));
    expect(() => checkParameters(shape, withShapes)).not.toThrow();
  });

  it('name the tensor that is missing, extra or of another shape', () => {
    const shapes = () => new Map(Object.entries(parameterShapes(tiny)).map(([n, s]) => [n, { shape: s }]));
    const missing = shapes();
    missing.delete('model.norm.weight');
    expect(() => checkParameters(tiny, missing)).toThrow(/model\.norm\.weight is missing/);
    const extra = shapes().set('model.layers.0.mlp.gate_proj.bias', { shape: [24] });
    expect(() => checkParameters(tiny, extra)).toThrow(/gate_proj\.bias is not part/);
    const wrong = shapes().set('lm_head.weight', { shape: [31, 16] });
    expect(() => checkParameters(tiny, wrong)).toThrow(/lm_head\.weight has shape \[31,16\].*\[32,16\]/);
  });
});

describe('FLOPs per token', () => {
  it('differ by convention as documented', () => {
    const counts = parameterCounts(tiny);
    const flops = flopsPerToken(tiny, 100);
    expect(flops.sixNonEmbedding).toBe(6 * counts.nonEmbedding);
    expect(flops.sixTotal).toBe(6 * counts.total);
    expect(flops.matrices).toBe(6 * (counts.attention + counts.ffn + counts.head));
    expect(flops.matricesAndAttention - flops.matrices).toBe(12 * 2 * 16 * 100);
    expect(flopsPerToken({ ...tiny, tieEmbeddings: true }, 100).matrices).toBe(flops.matrices);
  });
});

describe('initial weights', () => {
  const deviations = {
    embedding: 0.5,
    attention: 0.1,
    attentionOutput: 0.2,
    ffn: 0.3,
    ffnOutput: 0.4,
    head: 0.6,
  };

  it('have the deviations asked for, and norms of 1', () => {
    const shape = { ...tiny, width: 64, headDim: 16, ff: 128 };
    const weights = initialParameters(shape, deviations, 3);
    const deviation = (name: string) => Math.hypot(...weights[name]!) / Math.sqrt(weights[name]!.length);
    const layer = (part: string) => deviation(`model.layers.1.${part}.weight`);
    expect(deviation('model.embed_tokens.weight')).toBeCloseTo(0.5, 1);
    expect(layer('self_attn.k_proj') / 0.1).toBeCloseTo(1, 1);
    expect(layer('self_attn.o_proj') / 0.2).toBeCloseTo(1, 1);
    expect(layer('mlp.gate_proj') / 0.3).toBeCloseTo(1, 1);
    expect(layer('mlp.down_proj') / 0.4).toBeCloseTo(1, 1);
    expect(deviation('lm_head.weight') / 0.6).toBeCloseTo(1, 1);
    expect(weights['model.norm.weight']!.every((gain) => gain === 1)).toBe(true);
  });

  it('depend on the seed and the tensor only', () => {
    const [a, b] = [3, 4].map((seed) => initialParameters(tiny, deviations, seed));
    const name = 'model.layers.0.mlp.up_proj.weight';
    expect(a![name]).not.toEqual(b![name]);
    expect(initialParameters({ ...tiny, layers: 1 }, deviations, 3)[name]).toEqual(a![name]);
  });

  it('follow the paper under μP scales', () => {
    const mup = { scaleEmbedding: 12, scaleDepth: 1.4, widthBase: 4 };
    expect(usualDeviations({ ...tiny, mup })).toMatchObject({ embedding: 0.1, ffn: 0.05, ffnOutput: 0.05 });
    const shape = { ...tiny, mup };
    expect(learningRateFactor(shape, 'model.layers.0.mlp.up_proj.weight')).toBe(0.25);
    expect(learningRateFactor(shape, 'model.embed_tokens.weight')).toBe(1);
    expect(learningRateFactor(tiny, 'model.layers.0.mlp.up_proj.weight')).toBe(1);
  });
});

describe('checkShape', () => {
  it.each([
    [{ kvHeads: 3 }, /heads \(4\) is not a multiple of kvHeads \(3\)/],
    [{ headDim: 3 }, /headDim \(3\) is odd/],
    [{ layers: 0 }, /layers must be a positive whole number, not 0/],
    [{ width: 1.5 }, /width must be/],
    [{ normEpsilon: 0 }, /normEpsilon must be positive/],
    [{ mup: { scaleEmbedding: 0, scaleDepth: 1, widthBase: 1 } }, /mup\.scaleEmbedding/],
  ])('refuses %j', (change, message) => {
    expect(() => checkShape({ ...tiny, ...change })).toThrow(message);
  });

  it('accepts what fits', () => expect(checkShape(tiny)).toBe(tiny));
});
