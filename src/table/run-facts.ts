import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson } from '../io/json.js';

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
  phaseAt(tokens: number): 'warmup' | 'stable' | 'decay' | null;
}

const optionalNumber = z.number().nullish();
const optionalText = z.string().nullish();

/** The part of RUN/config.json that the table needs; other keys are the run's own business. */
const configSchema = z.looseObject({
  seed: optionalNumber,
  learningRate: optionalNumber,
  batchTokens: optionalNumber,
  engine: optionalText,
  precision: optionalText,
  schedule: optionalText,
  tokens: optionalNumber,
  warmup: optionalNumber,
  decay: optionalNumber,
});
type RunConfig = z.output<typeof configSchema>;

/** Likewise of RUN/provenance.json. */
const provenanceSchema = z.looseObject({
  engine: z.union([z.string(), z.looseObject({ name: optionalText })]).nullish(),
  precision: optionalText,
  data: z.looseObject({ trainTokens: optionalNumber }).nullish(),
});

export const NO_RUN: RunFacts = {
  seed: null,
  learningRate: null,
  batchTokens: null,
  engine: null,
  precision: null,
  uniqueTokens: null,
  phaseAt: () => null,
};

/** @throws SparselawError (status 3) naming the file when one that exists is not what a run writes */
export async function readRunFacts(run: string): Promise<RunFacts> {
  const config = await readJson(join(run, 'config.json'), configSchema);
  const provenance = await readIfThere(join(run, 'provenance.json'), provenanceSchema);
  const engine = provenance?.engine;
  return {
    seed: config.seed ?? null,
    learningRate: config.learningRate ?? null,
    batchTokens: config.batchTokens ?? null,
    engine: (typeof engine === 'object' ? engine?.name : engine) ?? config.engine ?? null,
    precision: provenance?.precision ?? config.precision ?? null,
    uniqueTokens: provenance?.data?.trainTokens ?? null,
    phaseAt: (tokens) => phaseAt(config, tokens),
  };
}

/** A cosine schedule has no stable phase, and never an abrupt decay either: after its warm-up nothing is said. */
function phaseAt({ schedule, tokens: total, warmup, decay }: RunConfig, tokens: number) {
  if (typeof warmup === 'number' && tokens < warmup) return 'warmup';
  if (schedule !== 'wsd' || typeof total !== 'number' || typeof decay !== 'number') return null;
  return tokens > total - decay ? 'decay' : 'stable';
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
