import { z } from 'zod';
import { writeFileAtomic } from '../io/atomic.js';
import { pathExists } from '../io/exists.js';
import { readJson } from '../io/json.js';
import { sweepPaths } from './paths.js';

export const STAGES = ['train', 'measure'] as const;
export type Stage = (typeof STAGES)[number];

const time = z.string();
const reasonSchema = z.object({ code: z.string(), message: z.string(), exitStatus: z.int() });
export type Reason = z.infer<typeof reasonSchema>;

/**
 * status/ID.json: how far a run is, written by the process that works on it. `running` without a living holder of
 * the run's lock means that the process was killed.
 */
const statusSchema = z.object({
  schemaVersion: z.literal(1),
  id: z.string(),
  state: z.enum(['running', 'stopped', 'trained', 'done', 'failed']),
  stage: z.enum(STAGES).nullable(),
  progress: z
    .object({
      done: z.number(),
      total: z.number(),
      unit: z.string(),
      /** Tokens a second in training, checkpoints a second in measuring; null where not known yet. */
      perSecond: z.number().nullable(),
    })
    .nullable(),
  /** Speed of training when it was last seen, saving and validating left out. */
  tokensPerSecond: z.number().nullable(),
  /** Part of the run's work that training was expected to be when it was first begun; null before. */
  trainShare: z.number().nullable().default(null),
  /** Seconds spent on each stage so far, in all attempts. */
  seconds: z.object({ train: z.number(), measure: z.number() }).default({ train: 0, measure: 0 }),
  /** Hash of the measure settings that every checkpoint was measured with. */
  measured: z.string().nullable(),
  reason: reasonSchema.nullable(),
  attempts: z.array(
    z.object({
      startedAt: time,
      endedAt: time.nullable(),
      outcome: z.enum(['running', 'stopped', 'trained', 'done', 'failed', 'lost']),
      stages: z.array(z.enum(STAGES)),
      host: z.string(),
      pid: z.int(),
      /** The batch system's name of the job. */
      job: z.string().nullable(),
    }),
  ),
  updatedAt: time,
});
export type RunStatus = z.infer<typeof statusSchema>;

export const emptyStatus = (id: string): RunStatus => ({
  schemaVersion: 1,
  id,
  state: 'stopped',
  stage: null,
  progress: null,
  tokensPerSecond: null,
  trainShare: null,
  seconds: { train: 0, measure: 0 },
  measured: null,
  reason: null,
  attempts: [],
  updatedAt: new Date().toISOString(),
});

/** @throws SparselawError (status 3) when the file is there and not what a sweep writes */
export async function readStatus(sweep: string, id: string): Promise<RunStatus | undefined> {
  const path = sweepPaths(sweep).status(id);
  return (await pathExists(path)) ? readJson(path, statusSchema) : undefined;
}

/** Call holding the run's lock. */
export async function writeStatus(sweep: string, status: RunStatus): Promise<void> {
  const written = { ...status, updatedAt: new Date().toISOString() };
  await writeFileAtomic(sweepPaths(sweep).status(status.id), `${JSON.stringify(written, null, 2)}\n`);
}
