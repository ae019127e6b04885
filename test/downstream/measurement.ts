import { type SparsityMeasurement, sparsitySchema } from '../../src/files/sparsity.js';

type Parts = Omit<Partial<SparsityMeasurement>, 'layers'> & { layers: { threshold?: number }[] };

/** A measurement of given weights and thresholds, with any values elsewhere. */
export function measurementFor({ layers, ...rest }: Parts): SparsityMeasurement {
  return sparsitySchema.parse({
    schemaVersion: 1,
    checkpoint: 'checkpoint',
    checkpointSha256: '',
    runId: null,
    tokens: null,
    step: null,
    metric: 'pplp',
    pPercent: 1,
    protocol: 'dataset',
    definition: 'Share of neurons kept.',
    status: 'ok',
    activationRatio: 0.25,
    activationRatioStandardError: 0.01,
    activationRatioDense: 0.25,
    sparsity: 0.75,
    perplexity: { dense: 20, sparse: 20.2, ratio: 1.01, ratioStandardError: 0 },
    loss: { dense: 3, sparse: 3.01 },
    layers: layers.map(({ threshold }, layer) => ({
      layer,
      threshold,
      activationRatio: 0.25,
      activeCount: 1,
      totalCount: 4,
      activationRatioDense: 0.25,
      activeCountDense: 1,
    })),
    model: {
      family: 'llama',
      activation: 'silu',
      gated: true,
      layers: layers.length,
      width: 16,
      ff: 24,
      heads: 4,
      vocabSize: 32,
      parametersTotal: 1,
      parametersNonEmbedding: 1,
    },
    data: { sha256: '', source: '', tokensEvaluated: 4, sequenceLength: 2, windows: 2, bos: 'none' },
    search: [],
    crossings: [],
    calibrationTokens: 4,
    bootstrap: { replicates: 0, seed: 0 },
    settings: {},
    settingsHash: 'abc',
    engine: 'cpu',
    device: '',
    precision: 'float32',
    elapsedSeconds: 0,
    ...rest,
  });
}
