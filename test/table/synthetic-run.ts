import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { resolveConfig } from '../../src/config.js';
import { checkpointName, type Provenance } from '../../src/files/run.js';
import { measurementFileName, type SparsityMeasurement, sparsitySchema } from '../../src/files/sparsity.js';

/** A measurement that satisfies the schema; tests change what they are about. */
export function measurement(change: Partial<SparsityMeasurement> = {}): SparsityMeasurement {
  const activationRatio = change.activationRatio ?? 0.125;
  return sparsitySchema.parse({
    schemaVersion: 1,
    checkpoint: '000000000131072',
    checkpointSha256: 'c'.repeat(64),
    runId: 'relu-64',
    tokens: 131_072,
    step: 64,
    metric: 'pplp',
    pPercent: 1,
    cett: 0.21,
    protocol: 'dataset',
    definition: 'Neurons under a CETT bound that raises perplexity by 1 %.',
    status: 'ok',
    activationRatio,
    activationRatioStandardError: 0.001,
    activationRatioDense: 0.122,
    sparsity: 1 - activationRatio,
    perplexity: { dense: 20.1, sparse: 20.301, ratio: 1.01, ratioStandardError: 0.0004 },
    loss: { dense: 3.0007, sparse: 3.0107 },
    layers: [layer(0, activationRatio * 0.8), layer(1, activationRatio * 1.2)],
    model: {
      family: 'llama',
      activation: 'relu',
      gated: true,
      layers: 2,
      width: 64,
      ff: 172,
      heads: 2,
      vocabSize: 512,
      parametersTotal: 131_648,
      parametersNonEmbedding: 98_880,
    },
    data: {
      sha256: 'd'.repeat(64),
      source: 'validation',
      tokensEvaluated: 65_536,
      sequenceLength: 64,
      windows: 1024,
      bos: 'none',
    },
    search: [
      { cett: 0.5, ratio: 1.2, tokens: 'calibration' },
      { cett: 0.2, ratio: 1.009, tokens: 'calibration' },
    ],
    crossings: [0.21],
    calibrationTokens: 65_536,
    bootstrap: { replicates: 200, seed: 0 },
    settings: { metric: 'pplp', p: 1 },
    settingsHash: '1a2b3c4d5e',
    engine: 'wasm',
    device: 'cpu',
    precision: 'float32',
    elapsedSeconds: 1.25,
    ...change,
  });
}

function layer(index: number, activationRatio: number) {
  return {
    layer: index,
    threshold: 0.01,
    cett: 0.21,
    activationRatio,
    activeCount: Math.round(activationRatio * 1e6),
    totalCount: 1e6,
    activationRatioDense: activationRatio,
    activeCountDense: Math.round(activationRatio * 1e6),
  };
}

export interface SyntheticRun {
  /** Tokens of the checkpoint folders. */
  checkpoints: number[];
  measurements: SparsityMeasurement[];
  config?: Record<string, unknown>;
  provenance?: Provenance;
  /** Lines of metrics.jsonl. */
  metrics?: Record<string, unknown>[];
}

/** A complete configuration, as a run folder holds it. */
export const runConfig = (flags: Record<string, unknown>) =>
  resolveConfig({
    flags: { data: 'corpus', seqLen: 64, batchTokens: 64, learningRate: 0.01, seed: 7, width: 64, ...flags },
    corpusVocabSize: 512,
  });

/** What `train` writes about where a run came from. */
export const runProvenance = (change: Partial<Provenance> = {}): Provenance => ({
  schemaVersion: 1,
  runId: 'relu-64',
  configSha256: 'a'.repeat(64),
  data: {
    path: 'corpus',
    manifestSha256: 'd'.repeat(64),
    tokenizerSha256: 'e'.repeat(64),
    trainTokens: 65_536,
    validationTokens: 8192,
  },
  model: { parametersTotal: 131_648, parametersNonEmbedding: 98_880, flopsPerToken: 8e5 },
  steps: 64,
  epochs: 2,
  sessions: [
    {
      startedAt: '2026-01-02T03:04:05.000Z',
      endedAt: '2026-01-02T03:14:05.000Z',
      fromStep: 0,
      toStep: 64,
      outcome: 'done',
      engine: 'xla',
      device: 'cpu',
      deviceDescription: 'a CPU',
      precision: 'float32',
      deterministic: true,
      host: { cpu: 'a CPU', cores: 2, memoryBytes: 8e9, platform: 'linux-x64' },
      versions: { sparselaw: '0.1.0', node: '20.20.2' },
      gitRevision: null,
      commandLine: ['sparselaw', 'train', '--width', '64'],
    },
  ],
  ...change,
});

/** Writes a run folder of the shape that `train` and `measure` leave. */
export async function writeRun(folder: string, run: SyntheticRun): Promise<string> {
  await mkdir(join(folder, 'sparsity'), { recursive: true });
  const write = (name: string, value: unknown) => writeFile(join(folder, name), `${JSON.stringify(value)}\n`);
  await write('config.json', run.config ?? {});
  if (run.provenance) await write('provenance.json', run.provenance);
  if (run.metrics) {
    await writeFile(
      join(folder, 'metrics.jsonl'),
      run.metrics.map((row) => `${JSON.stringify(row)}\n`).join(''),
    );
  }
  for (const tokens of run.checkpoints) {
    await mkdir(join(folder, 'checkpoints', checkpointName(tokens)), { recursive: true });
  }
  for (const m of run.measurements) {
    await write(join('sparsity', measurementFileName(m.checkpoint, m.metric, m.settingsHash)), m);
  }
  return folder;
}
