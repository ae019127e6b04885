import { z } from 'zod';

/** Version of the measurement file; a file of another version is never reused, only measured again. */
export const SPARSITY_SCHEMA_VERSION = 1;

/** Metric names, in the order of the paper's §1.2 (`global` separates score from layer policy and is ours). */
export const METRIC_NAMES = ['zero', 'fat', 'topk', 'global', 'cett', 'pplp'] as const;
export type MetricName = (typeof METRIC_NAMES)[number];

export const PROTOCOL_NAMES = ['dataset', 'paper', 'heldout'] as const;
export type ProtocolName = (typeof PROTOCOL_NAMES)[number];

const share = z.number().min(0).max(1);
const count = z.number().int().nonnegative();

/** One FFN layer of one measurement. Shares are of (tokens × d_ff) neuron evaluations. */
const layerSchema = z.object({
  layer: count,
  /** Weak below this: output norm for cett, pplp, global; `abs(s)` for fat; absent for zero and topk. */
  threshold: z.number().nonnegative().optional(),
  /** CETT of the dense activations at this threshold over the evaluated tokens. */
  cett: z.number().nonnegative().optional(),
  /** The same over the calibration tokens, where the threshold was searched. */
  cettCalibration: z.number().nonnegative().optional(),
  /** Kept inside the sparse forward: `activeCount / totalCount`. */
  activationRatio: share,
  activeCount: count,
  totalCount: count,
  /** Kept by the same thresholds on the dense activations: `activeCountDense / totalCount`. */
  activationRatioDense: share,
  activeCountDense: count,
  /** Share of exact zeros of the gate activation alone (metric `zero`). */
  gateZeroShare: share.optional(),
});
export type SparsityLayer = z.infer<typeof layerSchema>;

/** Shape of the measured model, so that a table row of a foreign checkpoint needs no other file. */
const modelSchema = z.object({
  family: z.string(),
  activation: z.string(),
  gated: z.boolean(),
  layers: count,
  width: count,
  ff: count,
  heads: count,
  vocabSize: count,
  parametersTotal: count,
  parametersNonEmbedding: count,
});

const tracePointSchema = z.object({
  cett: z.number(),
  ratio: z.number(),
  /** Which tokens the point was measured on. */
  tokens: z.enum(['calibration', 'sample', 'all']).optional(),
});

/** `RUN/sparsity/<checkpoint>.<metric>.<settings hash>.json`: one checkpoint, one metric, one setting. */
export const sparsitySchema = z.object({
  schemaVersion: z.literal(SPARSITY_SCHEMA_VERSION),
  /** Name of the checkpoint folder. */
  checkpoint: z.string().min(1),
  checkpointSha256: z.string(),
  /** Name of the run folder, or what `--series` says; null for a foreign checkpoint without a series. */
  runId: z.string().nullable(),
  /** Training tokens seen at the checkpoint; null where nobody said. */
  tokens: count.nullable(),
  step: count.nullable(),
  metric: z.enum(METRIC_NAMES),
  /** Tolerated rise of perplexity in percent (pplp). */
  pPercent: z.number().nonnegative().optional(),
  /** Threshold of fat and global. */
  epsilon: z.number().nonnegative().optional(),
  /** Share of kept neurons of topk. */
  kRatio: z.number().positive().max(1).optional(),
  /** The one CETT bound of all layers: given for cett, found for pplp. */
  cett: z.number().min(0).max(1).optional(),
  protocol: z.enum(PROTOCOL_NAMES),
  /** The metric in one sentence, with its settings filled in. */
  definition: z.string(),
  /** `at-bound`: no interior answer; even the whole range of CETT keeps (or breaks) the bound on perplexity. */
  status: z.enum(['ok', 'at-bound']),
  activationRatio: share,
  activationRatioStandardError: z.number().nonnegative(),
  activationRatioDense: share,
  sparsity: share,
  /** Mean over layers of the gate's own share of exact zeros (metric `zero`). */
  gateZeroShare: share.optional(),
  perplexity: z.object({
    dense: z.number().positive(),
    sparse: z.number().positive(),
    /** exp(sparse loss − dense loss); in protocol `paper` the mean of the batches' ratios. */
    ratio: z.number().positive(),
    ratioStandardError: z.number().nonnegative(),
  }),
  /** Mean next-token losses in nats. */
  loss: z.object({ dense: z.number(), sparse: z.number() }),
  layers: z.array(layerSchema).min(1),
  model: modelSchema,
  data: z.object({
    /** Hash of the evaluated text (foreign) or of the corpus manifest (own runs). */
    sha256: z.string(),
    source: z.string(),
    tokensEvaluated: count,
    sequenceLength: count,
    windows: count,
    bos: z.enum(['none', 'stream', 'window']),
  }),
  /** Every (CETT value, perplexity ratio) the search of pplp evaluated, in order. */
  search: z.array(tracePointSchema),
  /** CETT values, ascending, where the perplexity ratio was seen to rise through 1 + p/100. */
  crossings: z.array(z.number()),
  calibrationTokens: count,
  bootstrap: z.object({ replicates: count, seed: count }),
  /** Everything that the settings hash in the file's name covers. */
  settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  settingsHash: z.string(),
  engine: z.string(),
  device: z.string(),
  precision: z.string(),
  elapsedSeconds: z.number().nonnegative(),
});
/** One measurement, as the file holds it and `measure --json` prints it. */
export type SparsityMeasurement = z.infer<typeof sparsitySchema>;

/** `000000001048576.pplp.1a2b3c4d5e.json` */
export const measurementFileName = (checkpoint: string, metric: MetricName, settingsHash: string): string =>
  `${checkpoint}.${metric}.${settingsHash}.json`;

const NAME = new RegExp(`^(.+)\\.(${METRIC_NAMES.join('|')})\\.([0-9a-f]+)\\.json$`);

/** The parts of a measurement's file name, or undefined for any other file. */
export function parseMeasurementFileName(
  name: string,
): { checkpoint: string; metric: MetricName; settingsHash: string } | undefined {
  const match = NAME.exec(name);
  if (!match) return undefined;
  return { checkpoint: match[1]!, metric: match[2] as MetricName, settingsHash: match[3]! };
}
