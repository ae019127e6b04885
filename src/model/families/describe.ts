import type { FamilySpec } from './spec.js';

/** What was understood of a foreign config.json, as pairs for people (`checkpoint show`). */
export function describeFamily(spec: FamilySpec): Record<string, string> {
  const { positions, biases, blockNorms, norm } = spec;
  const listed = (flags: Readonly<Record<string, boolean>>) =>
    Object.keys(flags)
      .filter((key) => flags[key])
      .join(', ') || 'none';
  const windows = new Set(spec.windows.map((window) => window ?? 'all'));
  return {
    family: spec.family,
    layers: String(spec.layers),
    width: String(spec.width),
    heads: `${spec.heads} of ${spec.headDim}, ${spec.kvHeads} for keys and values`,
    ffn: `${spec.ff} neurons, ${spec.activation}, ${spec.gated ? 'gated' : 'not gated'}`,
    vocabulary: `${spec.vocabSize}, head ${spec.tieEmbeddings ? 'tied' : 'of its own'}`,
    norms: `${norm.kind} (epsilon ${norm.epsilon}) at ${listed({ ...blockNorms })}`,
    'query and key norm': spec.queryKeyNorm,
    biases: listed({ ...biases }),
    positions:
      positions.kind === 'learned'
        ? `learned, up to ${spec.maxPositions}`
        : `rotary, base ${positions.theta}, ${positions.rotated} of ${spec.headDim} elements, ${positions.scaling} scaling`,
    residual: spec.parallel ? 'both halves in parallel' : 'one half after the other',
    windows: [...windows].join(', '),
    caps: `scores ${spec.attentionCap ?? 'none'}, logits ${spec.logitCap ?? 'none'}`,
    scales: `embedding ${spec.scaleEmbedding}, blocks ${spec.scaleBlock}, head ${spec.scaleHead}, query·key ${spec.attentionScale}`,
  };
}
