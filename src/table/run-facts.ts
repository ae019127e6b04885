import { z } from 'zod';
import { configSchema } from '../config.js';
import { metricsRowSchema, provenanceSchema, runPaths } from '../files/run.js';
import { pathExists } from '../io/exists.js';
import { readJson } from '../io/json.js';
import { readJsonl } from '../io/jsonl.js';
import { checkpointSteps } from '../training/checkpoint-schedule.js';
import { type Phase, phaseAt } from '../training/schedule.js';

/** What a row takes from its run; every field may be missing, since older runs and other tools wrote less. */
export interface RunFacts {
  seed: number | null;
  learningRate: number | null;
  batchTokens: number | null;
  engine: string | null;
  precision: string | null;
  /** Tokens in the training split. */
  uniqueTokens: number | null;
  /** Phase of the learning-rate schedule after that many tokens; null where the configuration does not say. */
  phaseAt(tokens: number): Phase | null;
  /** Losses that training logged for the checkpoint after so many steps; null where it did not. */
  lossesAt(step: number): Losses;
  /** Tokens at which the configuration plans a checkpoint. */
  planned: number[];
}

/** Nats per token, and bits per byte. */
export interface Losses {
  train: number | null;
  validation: number | null;
  bitsPerByte: number | null;
}

const NO_LOSSES: Losses = { train: null, validation: null, bitsPerByte: null };

/** What the table takes from RUN/config.json, where a complete one is not to be had. */
const looseConfigSchema = z.looseObject({
  seed: z.number().nullish(),
  learningRate: z.number().nullish(),
  batchTokens: z.number().nullish(),
  engine: z.string().nullish(),
  precision: z.string().nullish(),
});

export const NO_RUN: RunFacts = {
  seed: null,
  learningRate: null,
  batchTokens: null,
  engine: null,
  precision: null,
  uniqueTokens: null,
  phaseAt: () => null,
  lossesAt: () => NO_LOSSES,
  planned: [],
};

/** @throws SparselawError (status 3) naming the file when one that exists is not what a run writes */
export async function readRunFacts(run: string): Promise<RunFacts> {
  const paths = runPaths(run);
  const loose = await readJson(paths.config, looseConfigSchema);
  const config = configSchema.safeParse(loose).data;
  const provenance = await readIfThere(paths.provenance, provenanceSchema);
  const session = provenance?.sessions.at(-1);
  return {
    seed: loose.seed ?? null,
    learningRate: loose.learningRate ?? null,
    batchTokens: loose.batchTokens ?? null,
    engine: session?.engine ?? loose.engine ?? null,
    precision: session?.precision ?? loose.precision ?? null,
    uniqueTokens: provenance?.data.trainTokens ?? null,
    phaseAt: (tokens) => (config ? phaseAt(config, tokens) : null),
    lossesAt: await readLosses(paths.metrics),
    planned: config
      ? checkpointSteps(config.checkpoints, config).map((step) => step * config.batchTokens)
      : [],
  };
}

/** The losses of metrics.jsonl by step of the validation that each checkpoint makes. */
async function readLosses(path: string): Promise<RunFacts['lossesAt']> {
  if (!(await pathExists(path))) return () => NO_LOSSES;
  const { rows } = await readJsonl(path, metricsRowSchema);
  const byStep = new Map<number, Losses>();
  let since: number[] = [];
  for (const row of rows) {
    if ('learning_rate' in row) since.push(row.loss_nats_per_token);
    else {
      byStep.set(row.step, {
        train: since.length > 0 ? since.reduce((a, b) => a + b, 0) / since.length : null,
        validation: row.validation_loss_nats_per_token,
        bitsPerByte: row.validation_bits_per_byte,
      });
      since = [];
    }
  }
  return (step) => byStep.get(step) ?? NO_LOSSES;
}

async function readIfThere<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  return (await pathExists(path)) ? readJson(path, schema) : undefined;
}
