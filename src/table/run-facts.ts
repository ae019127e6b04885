import { access } from 'node:fs/promises';
import { z } from 'zod';
import { configSchema } from '../config.js';
import { provenanceSchema, runPaths } from '../files/run.js';
import { readJson } from '../io/json.js';
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
  /** Tokens at which the configuration plans a checkpoint. */
  planned: number[];
}

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
    planned: config
      ? checkpointSteps(config.checkpoints, config).map((step) => step * config.batchTokens)
      : [],
  };
}

async function readIfThere<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  const there = await access(path).then(
    () => true,
    () => false,
  );
  return there ? readJson(path, schema) : undefined;
}
