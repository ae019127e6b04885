import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { withFile } from '../io/file-error.js';

/** Version of the files of a run folder. */
export const RUN_SCHEMA_VERSION = 1;

/** Where everything of a run lies. */
export function runPaths(run: string) {
  return {
    config: join(run, 'config.json'),
    provenance: join(run, 'provenance.json'),
    metrics: join(run, 'metrics.jsonl'),
    discardedMetrics: join(run, 'metrics.discarded.jsonl'),
    checkpoints: join(run, 'checkpoints'),
    sparsity: join(run, 'sparsity'),
    evaluation: join(run, 'evaluation'),
    done: join(run, 'DONE'),
    failed: join(run, 'FAILED.json'),
    lock: join(run, '.lock'),
  };
}

/** Where everything of a checkpoint lies. */
export function checkpointPaths(checkpoint: string) {
  return {
    config: join(checkpoint, 'config.json'),
    model: join(checkpoint, 'model.safetensors'),
    tokenizer: join(checkpoint, 'tokenizer.json'),
    tokenizerConfig: join(checkpoint, 'tokenizer_config.json'),
    optimizer: join(checkpoint, 'optimizer.safetensors'),
    state: join(checkpoint, 'state.json'),
  };
}

const NAME_DIGITS = 15;

/** Folder name of the checkpoint after so many training tokens: names sort as numbers do. */
export const checkpointName = (tokens: number): string => String(tokens).padStart(NAME_DIGITS, '0');

/** The training tokens in a checkpoint folder's name; undefined for any other name. */
export const checkpointTokens = (name: string): number | undefined =>
  /^\d{15}$/.test(name) ? Number(name) : undefined;

export interface CheckpointEntry {
  name: string;
  /** Training tokens seen. */
  tokens: number;
  path: string;
}

/** A run's checkpoints in the order of training; empty when there are none. */
export async function listCheckpoints(run: string): Promise<CheckpointEntry[]> {
  const folder = runPaths(run).checkpoints;
  const names = await withFile('read', folder, () =>
    readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    }),
  );
  return names
    .flatMap((name) => {
      const tokens = checkpointTokens(name);
      return tokens === undefined ? [] : [{ name, tokens, path: join(folder, name) }];
    })
    .sort((a, b) => a.tokens - b.tokens);
}

const count = z.number().int().nonnegative();
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);

/** A row of metrics.jsonl for a logged step. */
export const stepRowSchema = z.object({
  step: count,
  /** Training tokens seen after the step. */
  tokens: count,
  /** Mean over the step's batch, before its update. */
  loss_nats_per_token: z.number(),
  learning_rate: z.number(),
  /** Global norm before clipping. */
  gradient_norm: z.number(),
  /** Over the steps since the row before, saving and validating left out. */
  tokens_per_second: z.number(),
  /** Seconds of training so far, those before a resume included. */
  elapsed_seconds: z.number(),
  /** Where on the schedule the step stands. */
  phase: z.enum(['warmup', 'stable', 'decay']),
});
export type StepRow = z.infer<typeof stepRowSchema>;

/** A row of metrics.jsonl for a checkpoint's validation loss. */
export const validationRowSchema = z.object({
  step: count,
  tokens: count,
  validation_loss_nats_per_token: z.number(),
  validation_bits_per_byte: z.number(),
  /** Predictions the loss is the mean of. */
  validation_tokens: count,
  elapsed_seconds: z.number(),
});

export const metricsRowSchema = z.union([stepRowSchema, validationRowSchema]);
export type MetricsRow = z.infer<typeof metricsRowSchema>;

/** RUN/provenance.json: what a run was made of and on. Re-written on resume; earlier sessions stay listed. */
export const provenanceSchema = z.object({
  schemaVersion: z.literal(RUN_SCHEMA_VERSION),
  runId: z.string(),
  configSha256: sha256Hex,
  data: z.object({
    path: z.string(),
    /** Hash of the corpus's manifest, which holds the hashes of its shards. */
    manifestSha256: sha256Hex,
    tokenizerSha256: sha256Hex,
    trainTokens: count,
    validationTokens: count,
  }),
  /** Derived sizes. */
  model: z.object({
    parametersTotal: count,
    parametersNonEmbedding: count,
    flopsPerToken: z.number(),
  }),
  steps: count,
  /** Passes over the training text. */
  epochs: z.number(),
  sessions: z.array(
    z.object({
      startedAt: z.string(),
      endedAt: z.string().nullable(),
      fromStep: count,
      toStep: count.nullable(),
      /** `lost`: the process ended without saying so. */
      outcome: z.enum(['running', 'done', 'interrupted', 'failed', 'lost']),
      engine: z.string(),
      device: z.string(),
      deviceDescription: z.string(),
      precision: z.string(),
      deterministic: z.boolean(),
      host: z.object({ cpu: z.string(), cores: count, memoryBytes: count, platform: z.string() }),
      versions: z.record(z.string(), z.string()),
      gitRevision: z.string().nullable(),
      commandLine: z.array(z.string()),
    }),
  ),
});
export type Provenance = z.infer<typeof provenanceSchema>;

/** CHECKPOINT/state.json: where in training the checkpoint stands, and what it must look like. */
export const checkpointStateSchema = z.object({
  schemaVersion: z.literal(RUN_SCHEMA_VERSION),
  runId: z.string(),
  step: count,
  tokens: count,
  /** Seconds of training up to here. */
  elapsedSeconds: z.number(),
  phase: z.enum(['warmup', 'stable', 'decay']),
  configSha256: sha256Hex,
  dataSha256: sha256Hex,
  tokenizerSha256: sha256Hex,
  /** Batches are a function of seed and step, so this is all that the loader and its random numbers are. */
  loader: z.object({ generator: z.literal('threefry2x32-20'), seed: count, nextStep: count }),
  validationLossNatsPerToken: z.number().nullable(),
  /** False for what an interruption saved between two points of the checkpoint schedule. */
  scheduled: z.boolean(),
  /** SHA-256 of each other file of the folder. Retention may remove the optimiser's, never change it. */
  files: z.record(z.string(), sha256Hex),
  /** SHA-256 of each tensor's bytes by file, so that damage can be named. */
  tensors: z.record(z.string(), z.record(z.string(), sha256Hex)),
  /** The checkpoint this one was trained from, and the hash of its state.json; null for the first. */
  parent: z.object({ checkpoint: z.string(), stateSha256: sha256Hex }).nullable(),
  /** SHA-256 of all of the above. */
  selfSha256: sha256Hex,
});
export type CheckpointState = z.infer<typeof checkpointStateSchema>;

/** RUN/DONE: written last, so its presence means that the run is whole. */
const doneSchema = z.object({
  schemaVersion: z.literal(RUN_SCHEMA_VERSION),
  step: count,
  tokens: count,
  finishedAt: z.string(),
});
export type Done = z.infer<typeof doneSchema>;

/** RUN/FAILED.json: why a run stopped. */
export const failedSchema = z.object({
  schemaVersion: z.literal(RUN_SCHEMA_VERSION),
  code: z.string(),
  message: z.string(),
  step: count,
  tokens: count,
  /** The last checkpoint that was written, whose weights and losses up to it were finite. */
  lastGoodCheckpoint: z.string().nullable(),
  failedAt: z.string(),
});
export type Failure = z.infer<typeof failedSchema>;
