import { z } from 'zod';
import { DEVICES, ENGINE_CHOICES, PRECISIONS } from '../engine/index.js';
import { METRIC_NAMES, PROTOCOL_NAMES } from '../files/sparsity.js';
import { parseQuantity } from '../quantity.js';

/** Keys of a run's configuration; names and values are checked when the runs are resolved, as a run's own are. */
const settings = z.record(z.string(), z.unknown(), 'must be a list of keys and values');

const valueLists = z.record(
  z.string(),
  z.array(z.unknown(), 'must be a list of values').min(1, 'must not be empty'),
  'must be keys with a list of values each',
);

const blockFields = {
  /** What every run of the block begins with. */
  defaults: settings.optional(),
  /** Every combination of these values. */
  product: valueLists.optional(),
  /** Lists of equal length, read side by side: first with first, second with second. */
  lists: valueLists.optional(),
  /** Runs written out. */
  runs: z.array(settings, 'must be a list of runs').optional(),
};
export const blockSchema = z.strictObject(blockFields, 'must be a block of defaults, product, lists or runs');
export type Block = z.infer<typeof blockSchema>;

const count = (min: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' ? (parseQuantity(value) ?? value) : value),
    z.int(`must be a whole number of at least ${min}`).min(min, `must be at least ${min}`),
  );
const number = (min: number, max = Number.POSITIVE_INFINITY) =>
  z.number('must be a number').min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);
/** One value or a list of them. */
const some = <T extends z.ZodType>(value: T) =>
  z.preprocess((given) => (Array.isArray(given) ? given : [given]), z.array(value));
const choice = <const T extends readonly [string, ...string[]]>(choices: T) =>
  z.enum(choices, `must be one of ${choices.join(', ')}`);
const text = z.string('must be text').min(1, 'must not be empty');

/** What a metric cannot be measured without. */
const NEEDED = { fat: 'epsilon', topk: 'k', global: 'epsilon', cett: 'cett', pplp: 'p' } as const;

/** One call of `measure`: its flags in the spelling of configuration keys. */
export const measureSchema = z
  .strictObject(
    {
      metric: some(choice(METRIC_NAMES)).default(['pplp']),
      p: some(number(0)).default([1]),
      epsilon: some(number(0)).default([]),
      k: some(number(1e-9, 1)).default([]),
      cett: some(number(0, 1)).default([]),
      pool: choice(['token', 'layer']).default('token'),
      score: choice(['gate', 'output']).default('gate'),
      data: text.optional(),
      text: text.optional(),
      tokens: count(1).optional(),
      seqLen: count(1).optional(),
      bos: choice(['auto', 'none', 'stream', 'window']).default('auto'),
      calibrationTokens: count(1).optional(),
      tolerance: number(1e-7, 0.5).optional(),
      protocol: choice(PROTOCOL_NAMES).default('dataset'),
      sharedCett: text.regex(/^last:[1-9]\d*$/, 'must be of the form last:5').optional(),
      /** Only the run's last so many checkpoints. */
      last: count(1).optional(),
      compat: z.boolean('must be true or false').default(false),
      engine: choice(ENGINE_CHOICES).optional(),
      device: choice(DEVICES).optional(),
      precision: choice(PRECISIONS).optional(),
    },
    'must be the flags of measure',
  )
  .superRefine((settings, context) => {
    for (const metric of settings.metric) {
      const needed = metric === 'zero' ? undefined : NEEDED[metric];
      if (!needed || settings[needed].length > 0) continue;
      context.addIssue({ code: 'custom', path: ['metric'], message: `${metric} needs ${needed} as well` });
    }
  });
export type MeasureSettings = z.output<typeof measureSchema>;

/** One call of `fit` on the sweep's table. */
export const fitSchema = z.strictObject(
  {
    law: some(text).default(['auto']),
    x: text.optional(),
    y: text.optional(),
    group: some(text).optional(),
    where: some(text).default([]),
    allPhases: z.boolean('must be true or false').default(false),
    dropFirst: count(0).optional(),
    holdOut: number(0, 0.9).optional(),
    bootstrap: count(0).optional(),
    cluster: some(text).optional(),
    /** In the sweep's folder. */
    out: text.regex(/^[^/]+\.json$/, 'must be a name that ends in .json').default('fit.json'),
  },
  'must be the flags of fit',
);
export type FitSettings = z.output<typeof fitSchema>;

/** What `sbatch` is told. */
export const slurmSchema = z.strictObject(
  {
    partition: text.optional(),
    account: text.optional(),
    /** Limit of a job, as Slurm writes it: 30, 2:00:00, 1-12. */
    time: z.union([text, z.int()], 'must be a time such as 30 (minutes), 2:00:00 or 1-12').optional(),
    gres: text.optional(),
    cpusPerTask: count(1).optional(),
    mem: text.optional(),
    /** Seconds before the limit at which a task saves and goes back into the queue. */
    saveSeconds: count(1).default(120),
    /** Most tasks at a time. */
    throttle: count(1).optional(),
    /** Further lines `#SBATCH …`, without the word. */
    extra: z.array(text, 'must be a list of lines').default([]),
    /** Shell lines before the program starts, such as `module load cuda`. */
    setup: z.array(text, 'must be a list of lines').default([]),
  },
  'must be the settings of Slurm',
);
export type SlurmSettings = z.output<typeof slurmSchema>;

export const gridSchema = z.strictObject(
  {
    ...blockFields,
    /** Further blocks; each begins with the file's defaults. */
    grids: z.array(blockSchema, 'must be a list of blocks').optional(),
    measure: z.array(measureSchema, 'must be a list').default([measureSchema.parse({})]),
    /** Name in the sweep's folder; null for none. */
    table: text
      .regex(/^[^/]+\.(csv|parquet)$/, 'must be a name that ends in .csv or .parquet')
      .nullable()
      .default('table.csv'),
    fit: z.array(fitSchema, 'must be a list').default([]),
    report: text
      .regex(/^[^/]+\.html$/, 'must be a name that ends in .html')
      .nullable()
      .default(null),
    tensorboard: z.boolean('must be true or false').default(false),
    slurm: slurmSchema.default(slurmSchema.parse({})),
  },
  'must be keys and values',
);
export type Grid = z.output<typeof gridSchema>;
