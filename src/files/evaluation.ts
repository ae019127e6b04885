import { z } from 'zod';
import { METRIC_NAMES } from './sparsity.js';
import { TASK_FORMATS, type TaskFormat } from './task.js';

export const EVALUATION_SCHEMA_VERSION = 1;

const share = z.number().min(0).max(1);
const count = z.number().int().nonnegative();
/** A mean over items. The standard error is the sample deviation over √items; null for a single item. */
const meanSchema = z.object({ mean: z.number(), standardError: z.number().nonnegative().nullable() });
export type Mean = z.infer<typeof meanSchema>;

/** What the model keeps while it is evaluated. */
const settingSchema = z.object({
  /** `dense`, or metric and setting, e.g. `PPL-1%`. */
  label: z.string(),
  metric: z.enum(METRIC_NAMES).nullable(),
  pPercent: z.number().nonnegative().nullable(),
  /** Names the measurement that thresholds come from. */
  settingsHash: z.string().nullable(),
  /** Of that measurement, on its own text; null where the metric was not measured (dense). */
  activationRatio: share.nullable(),
  perplexityRatio: z.number().positive().nullable(),
});

const resultSchema = z.object({
  /** Label of the setting. */
  setting: z.string(),
  /** Neurons kept and not exactly 0 on the task's own tokens: mean over tokens, then over layers. */
  activationRatio: share,
  /** Share right: by log-likelihood per character (choice), or by greedy decoding (last word). */
  accuracy: meanSchema,
  /** Share right by log-likelihood as it is (choice). */
  accuracyUnnormalised: meanSchema.nullable(),
  /** Log-likelihood of the right answer in nats. */
  logLikelihood: meanSchema,
  /** Against dense, item by item; null for dense itself. */
  difference: z
    .object({
      accuracy: meanSchema,
      logLikelihood: meanSchema,
      /** Items that only the sparse model has right, and only the dense one. */
      gained: count,
      lost: count,
    })
    .nullable(),
});
export type TaskResult = z.infer<typeof resultSchema>;

const taskSchema = z.object({
  /** File name without its ending. */
  name: z.string(),
  path: z.string(),
  sha256: z.string(),
  format: z.enum(Object.keys(TASK_FORMATS) as [TaskFormat, ...TaskFormat[]]),
  kind: z.enum(['choice', 'last-word']),
  items: count,
  /** Items whose context was cut on the left to fit the model's length. */
  truncated: count,
  results: z.array(resultSchema),
});

/** Neurons and work that tokens processed together need. */
const workSchema = z.object({
  setting: z.string(),
  /** `chunk`: consecutive tokens of one text. `batch`: tokens at the same place of several texts. */
  grouping: z.enum(['chunk', 'batch']),
  /** Tokens that share one loading of the weights. */
  together: count,
  /** Share of neurons that at least one of them keeps: mean over groups, then over layers. */
  neurons: share,
  /** FFN FLOPs a token, all neurons and only those of the group; a multiply-add is 2 FLOPs. */
  flops: z.object({ dense: z.number(), all: z.number(), downOnly: z.number() }),
  /** Bytes of FFN weights loaded a token. */
  bytes: z.object({ dense: z.number(), all: z.number(), downOnly: z.number() }),
});
export type WorkRow = z.infer<typeof workSchema>;

const generationSchema = z.object({
  setting: z.string(),
  prompt: z.string(),
  text: z.string(),
  tokens: count,
  /** `end`: the model gave its end-of-text token. */
  stopped: z.enum(['length', 'end']),
  /** First generated token that differs from the dense text's, from 0; null where none does, and for dense. */
  divergesAt: count.nullable(),
});
export type Generation = z.infer<typeof generationSchema>;

/** `<checkpoint>.evaluation.<settings hash>.json`: one checkpoint, dense and at each setting. */
export const evaluationSchema = z.object({
  schemaVersion: z.literal(EVALUATION_SCHEMA_VERSION),
  checkpoint: z.string().min(1),
  checkpointSha256: z.string(),
  runId: z.string().nullable(),
  tokens: count.nullable(),
  step: count.nullable(),
  settings: z.array(settingSchema).min(1),
  tasks: z.array(taskSchema),
  generations: z.array(generationSchema),
  work: z.array(workSchema),
  /** Whether each text was given the BOS that its tokenizer adds. */
  bos: z.boolean(),
  /** Longest input in tokens. */
  maxLength: count,
  settingsHash: z.string(),
  engine: z.string(),
  device: z.string(),
  precision: z.string(),
  elapsedSeconds: z.number().nonnegative(),
});
export type Evaluation = z.infer<typeof evaluationSchema>;

export const evaluationFileName = (checkpoint: string, settingsHash: string): string =>
  `${checkpoint}.evaluation.${settingsHash}.json`;

export const isEvaluationFileName = (name: string): boolean => /\.evaluation\.[0-9a-f]+\.json$/.test(name);
