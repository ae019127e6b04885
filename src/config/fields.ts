import { z } from 'zod';
import { DEVICES, ENGINE_CHOICES, PRECISIONS } from '../engine/index.js';
import { ACTIVATION_NAMES } from '../model/activations/names.js';
import { parseQuantity } from '../quantity.js';

export type FieldGroup = 'MODEL' | 'INITIAL WEIGHTS' | 'DATA' | 'OPTIMISER' | 'SCHEDULE' | 'RUN' | 'ENGINE';

/** What the command line, the messages and the help say about one key. */
export interface FieldInfo {
  /** `quantity` takes the suffixes k, M and B; `path` and `text` are strings. */
  kind: 'integer' | 'quantity' | 'number' | 'boolean' | 'choice' | 'path' | 'text' | 'group';
  group: FieldGroup;
  /** Ends `must be …` in messages. */
  expects: string;
  summary: string;
  choices?: readonly string[];
}

export const fieldInfo = z.registry<FieldInfo>();

const quantityOf = (value: unknown) => (typeof value === 'string' ? (parseQuantity(value) ?? value) : value);
type About = [group: FieldGroup, summary: string];

const integer = (min: number, [group, summary]: About) =>
  z
    .int()
    .min(min)
    .register(fieldInfo, { kind: 'integer', group, summary, expects: `a whole number of at least ${min}` });

const quantity = (min: number, [group, summary]: About) =>
  z.preprocess(quantityOf, z.int().min(min)).register(fieldInfo, {
    kind: 'quantity',
    group,
    summary,
    expects: `a whole number of at least ${min}, such as 8192 or 2M`,
  });

/** A number of tokens, or a share of the run when below 1; resolved to tokens. */
const tokensOrShare = ([group, summary]: About) =>
  z
    .preprocess(
      quantityOf,
      z
        .number()
        .min(0)
        .refine((value) => value < 1 || Number.isInteger(value)),
    )
    .register(fieldInfo, {
      kind: 'quantity',
      group,
      summary,
      expects: 'a number of tokens such as 2M, or a share of the run such as 0.02',
    });

const positive = ([group, summary]: About) =>
  z.number().positive().register(fieldInfo, { kind: 'number', group, summary, expects: 'a positive number' });

const notNegative = ([group, summary]: About) =>
  z
    .number()
    .min(0)
    .register(fieldInfo, { kind: 'number', group, summary, expects: 'a number of at least 0' });

const share = ([group, summary]: About) =>
  z
    .number()
    .min(0)
    .lt(1)
    .register(fieldInfo, { kind: 'number', group, summary, expects: 'a number in [0, 1)' });

const boolean = ([group, summary]: About) =>
  z.boolean().register(fieldInfo, { kind: 'boolean', group, summary, expects: 'true or false' });

const choice = <const T extends readonly [string, ...string[]]>(choices: T, [group, summary]: About) =>
  z.enum(choices).register(fieldInfo, {
    kind: 'choice',
    group,
    summary,
    choices,
    expects: `one of ${choices.join(', ')}`,
  });

const text = (kind: 'path' | 'text', expects: string, [group, summary]: About) =>
  z.string().min(1).register(fieldInfo, { kind, group, summary, expects });

/** Multipliers of the paper's μP-style models (Sparsing Law §3.1). */
export const MUP_FIELDS = {
  scaleEmbedding: positive(['MODEL', 'μP: multiplies the token embeddings (the paper: 12).']),
  scaleDepth: positive(['MODEL', 'μP: block outputs are multiplied by this / √layers (the paper: 1.4).']),
  widthBase: positive(['MODEL', 'μP: the head reads h / (width / this) (the paper: 256).']),
};
/** Used when one of the three is given without the others. */
export const PAPER_MUP = { scaleEmbedding: 12, scaleDepth: 1.4, widthBase: 256 } as const;

export const SCHEDULES = ['wsd', 'cosine', 'constant'] as const;
export const DECAY_SHAPES = ['linear', 'halving'] as const;

const deviation = (what: string) =>
  notNegative(['INITIAL WEIGHTS', `Standard deviation of the initial ${what}.`]);

/** Every key of a run's configuration. */
export const CONFIG_FIELDS = {
  layers: integer(1, ['MODEL', 'Transformer blocks.']),
  width: integer(1, ['MODEL', 'Width of the residual stream, d_model.']),
  ff: integer(1, ['MODEL', 'FFN neurons a layer, d_ff; default 2.5 × width (4 × without a gate).']),
  heads: integer(1, ['MODEL', 'Attention heads; default: heads of 64 (32 below width 512).']),
  kvHeads: integer(1, ['MODEL', 'Key and value heads; default: as many as heads.']),
  headDim: integer(2, ['MODEL', 'Width of a head; default width / heads.']),
  vocabSize: integer(1, ['MODEL', "Rows of the embedding; default: the corpus's vocabulary."]),
  activation: choice(ACTIVATION_NAMES, ['MODEL', 'Activation of the FFN.']),
  gated: boolean(['MODEL', 'Gate the FFN: act(gate·x) * (up·x).']),
  tieEmbeddings: boolean(['MODEL', 'Use the embedding as the head too.']),
  ropeTheta: positive(['MODEL', 'Base of the rotary positions.']),
  normEpsilon: positive(['MODEL', "RMSNorm's epsilon."]),
  mup: z
    .strictObject(MUP_FIELDS)
    .nullable()
    .register(fieldInfo, {
      kind: 'group',
      group: 'MODEL',
      summary: 'μP multipliers; null for none.',
      expects: `null or an object of ${Object.keys(MUP_FIELDS).join(', ')}`,
    }),
  initStdEmbedding: deviation('embedding'),
  initStdAttention: deviation('query, key and value projections'),
  initStdAttentionOutput: deviation('attention output projections'),
  initStdFfn: deviation('gate and up projections'),
  initStdFfnOutput: deviation('down projections'),
  initStdHead: deviation('head, where it is not tied'),
  data: text('path', 'the path of a corpus folder', ['DATA', 'Corpus folder, as `corpus build` writes it.']),
  seqLen: integer(2, ['DATA', 'Tokens a training sequence.']),
  validationTokens: quantity(1, ['DATA', 'Predictions of the validation set used; default: all of it.'])
    .nullable()
    .register(fieldInfo, {
      kind: 'quantity',
      group: 'DATA',
      summary: 'At most so many predictions of the validation set; default: all of it.',
      expects: 'null or a whole number of at least 1, such as 100k',
    }),
  batchOrder: choice(
    ['epochs', 'random'],
    ['DATA', 'Windows of the text: shuffled anew each epoch, or drawn at random offsets.'],
  ),
  tokens: quantity(1, ['OPTIMISER', 'Tokens to train on, rounded to whole steps.']),
  batchTokens: quantity(1, ['OPTIMISER', 'Tokens a step.']),
  accumulate: integer(1, ['OPTIMISER', 'Micro-batches a step is divided into, to save memory.']),
  learningRate: positive(['OPTIMISER', 'Peak learning rate.']),
  weightDecay: notNegative(['OPTIMISER', 'Decoupled weight decay.']),
  weightDecayOn: choice(['matrices', 'all'], ['OPTIMISER', 'What decays; the paper: all.']),
  beta1: share(['OPTIMISER', "Decay of AdamW's first moment."]),
  beta2: share(['OPTIMISER', "Decay of AdamW's second moment."]),
  adamEpsilon: positive(['OPTIMISER', "AdamW's epsilon."]),
  clip: notNegative(['OPTIMISER', 'Clip the global norm of the gradient to this; 0 for never.']),
  schedule: choice(SCHEDULES, [
    'SCHEDULE',
    'Learning rate: warm-up, then constant (wsd, with an optional decay), cosine or constant.',
  ]),
  warmup: tokensOrShare(['SCHEDULE', 'Linear warm-up: tokens, or a share of the run.']),
  decay: tokensOrShare(['SCHEDULE', 'Decay at the end of wsd: tokens, or a share of the run.']),
  decayShape: choice(DECAY_SHAPES, ['SCHEDULE', "Shape of wsd's decay; halving is the paper's."]),
  decayHalfLife: quantity(1, ['SCHEDULE', 'Tokens in which the halving decay halves; default: decay / 5.']),
  learningRateFloor: share(['SCHEDULE', 'Where cosine and the linear decay end, as a share of the peak.']),
  checkpoints: text('text', 'a schedule such as log:1M..1B:24, every:10M or 1M,2M,10M', [
    'RUN',
    'When to save, in tokens or shares of the run: log:1M..1B:24, linear:0.25..1:12, every:10M, 0,1M,10M, joined by +; the end always; default: log:0.01..1:16.',
  ]),
  keepState: integer(1, ['RUN', 'Checkpoints (the last so many) that keep the state to resume from.']),
  logEvery: integer(1, ['RUN', 'Steps between rows of metrics.jsonl.']),
  seed: integer(0, ['RUN', 'Seed of weights and batches.']),
  engine: choice(ENGINE_CHOICES, ['ENGINE', 'What runs the tensor programs.']),
  device: choice(DEVICES, ['ENGINE', 'Narrow the engine to this kind of device.'])
    .nullable()
    .register(fieldInfo, {
      kind: 'choice',
      group: 'ENGINE',
      summary: 'Narrow the engine to this kind of device.',
      choices: DEVICES,
      expects: `null or one of ${DEVICES.join(', ')}`,
    }),
  precision: choice(PRECISIONS, ['ENGINE', 'Arithmetic of the tensor programs.']),
  deterministic: boolean(['ENGINE', 'Have equal runs give equal bytes, also where that costs time (GPUs).']),
  devices: integer(1, ['ENGINE', 'Devices that share each batch; default: all GPUs, or one CPU device.'])
    .nullable()
    .register(fieldInfo, {
      kind: 'integer',
      group: 'ENGINE',
      summary: 'Devices that share each batch; default: all GPUs, or one CPU device.',
      expects: 'null or a whole number of at least 1',
    }),
  shardState: boolean([
    'ENGINE',
    "Divide the optimiser's state among the devices (ZeRO-1): less memory each.",
  ]),
};

export const configSchema = z.strictObject(CONFIG_FIELDS);
/** A resolved configuration: what RUN/config.json holds. Nothing that matters is left to defaults. */
export type Config = z.output<typeof configSchema>;
export type ConfigKey = keyof Config;

export const CONFIG_KEYS = Object.keys(CONFIG_FIELDS) as ConfigKey[];

/** `batchTokens` → `batch-tokens`. */
export const flagName = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
