import {
  CONFIG_FIELDS,
  CONFIG_KEYS,
  type Config,
  type ConfigKey,
  configSchema,
  fieldInfo,
  flagName,
  MUP_FIELDS,
  PAPER_MUP,
} from './config/fields.js';
import type { ConfigFile } from './config/file.js';
import { inputError, type SparselawError, usageError } from './errors.js';
import { canonicalJson, sha256 } from './io/hash.js';
import { printable } from './io/printable.js';
import { usualDeviations } from './model/parameters.js';
import type { ModelShape } from './model/shape.js';
import { nearest } from './nearest.js';

export {
  CONFIG_FIELDS,
  CONFIG_KEYS,
  type Config,
  type ConfigKey,
  configSchema,
  type FieldInfo,
  fieldInfo,
  flagName,
} from './config/fields.js';
export { type ConfigFile, parseConfig, readConfigFile } from './config/file.js';

/** Values by key, not yet checked. */
export type ConfigValues = Readonly<Record<string, unknown>>;

export interface ConfigSources {
  /** Values that stand in for the built-in defaults. */
  defaults?: ConfigValues;
  file?: ConfigFile;
  /** By configuration key (`batchTokens`), as the command line gave them; undefined is not given. */
  flags?: ConfigValues;
  /** Size of the corpus's vocabulary: the default of `vocabSize`, which may not be smaller. */
  corpusVocabSize?: number;
}

/** What does not depend on anything else. Sized for a laptop; the optimiser's values are the paper's (§3.2). */
export const CONFIG_DEFAULTS = {
  layers: 4,
  width: 128,
  activation: 'relu',
  gated: true,
  tieEmbeddings: true,
  ropeTheta: 10_000,
  normEpsilon: 1e-5,
  mup: null,
  seqLen: 256,
  validationTokens: null,
  batchOrder: 'epochs',
  tokens: 10_000_000,
  batchTokens: 8192,
  accumulate: 1,
  learningRate: 2e-3,
  weightDecay: 0.1,
  weightDecayOn: 'matrices',
  beta1: 0.9,
  beta2: 0.95,
  adamEpsilon: 1e-8,
  clip: 1,
  schedule: 'wsd',
  warmup: 0.02,
  decay: 0,
  decayShape: 'linear',
  learningRateFloor: 0.1,
  keepState: 2,
  logEvery: 10,
  seed: 0,
  engine: 'auto',
  device: null,
  precision: 'float32',
  deterministic: false,
  devices: null,
  shardState: false,
} as const satisfies Partial<Config>;

/**
 * Keys that change weights and measurements by rounding at most: where files lie, how much is kept and logged, how
 * many devices share the work.
 */
const IMMATERIAL: readonly ConfigKey[] = ['data', 'keepState', 'logEvery', 'devices', 'shardState'];

type Origin = (key: string) => { place: string; fail: typeof inputError };

/** Says where a value came from, for messages: a flag, a line of the file, or the defaults. */
function originOf({ file, flags }: ConfigSources): Origin {
  return (key) => {
    // A stranger's key may hold a dot itself.
    const top = file && Object.hasOwn(file.values, key) ? key : key.split('.')[0]!;
    if (flags && Object.hasOwn(flags, top) && flags[top] !== undefined)
      return { place: `--${flagName(key).replace('.', '-')}`, fail: usageError };
    if (file && Object.hasOwn(file.values, top)) {
      const line = file.lines.get(key) ?? file.lines.get(top);
      return { place: `${printable(file.path)}, line ${line ?? '?'}: ${printable(key)}`, fail: inputError };
    }
    return { place: key, fail: usageError };
  };
}

/** Suggests the nearest valid key where one is near, else the whole list. */
function unknownKey(
  key: string,
  known: readonly string[],
  { place, fail }: ReturnType<Origin>,
): SparselawError {
  const near = nearest(key, known);
  return fail(`${place} is not a key of the configuration.${near ? ` Did you mean ${near}?` : ''}`, {
    code: 'unknown-key',
    suggestions: near
      ? [`Write ${near} instead of ${printable(key)}.`]
      : [`Valid keys: ${known.join(', ')}.`],
  });
}

function checkKeys(given: ConfigValues, origin: Origin): void {
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(CONFIG_FIELDS, key)) throw unknownKey(key, CONFIG_KEYS, origin(key));
  }
  const { mup } = given;
  if (typeof mup !== 'object' || mup === null) return;
  for (const key of Object.keys(mup)) {
    if (!Object.hasOwn(MUP_FIELDS, key)) throw unknownKey(key, Object.keys(MUP_FIELDS), origin(`mup.${key}`));
  }
}

function checkTypes(given: ConfigValues, origin: Origin): Partial<Config> {
  const checked: Record<string, unknown> = {};
  for (const key of CONFIG_KEYS) {
    if (given[key] === undefined) continue;
    const field = CONFIG_FIELDS[key];
    const result = field.safeParse(given[key]);
    if (!result.success) {
      const inner = result.error.issues[0]?.path.map(String) ?? [];
      const name = [key, ...inner].join('.');
      const value = inner.reduce<unknown>((at, part) => (at as ConfigValues)[part], given[key]);
      const leaf = inner.length ? MUP_FIELDS[inner[0] as keyof typeof MUP_FIELDS] : field;
      const { place, fail } = origin(name);
      const expects = fieldInfo.get(leaf)?.expects;
      throw fail(`${place} must be ${expects}, not ${printable(JSON.stringify(value) ?? 'nothing')}.`, {
        code: 'bad-value',
      });
    }
    checked[key] = result.data;
  }
  return checked as Partial<Config>;
}

/** Heads of 64 where the model is wide enough to have several, of 32 or 16 in small ones; one head otherwise. */
function usualHeads(width: number): number {
  const headDim = [64, 32, 16].find((dim) => width % dim === 0 && (dim < 64 || width >= 512));
  return headDim ? width / headDim : 1;
}

/** The paper's d_ff = 2.5 d_model (§3.1), or the customary 4 without a gate, in multiples of 16 for the hardware. */
const usualFf = (width: number, gated: boolean) => Math.ceil((width * (gated ? 2.5 : 4)) / 16) * 16;

/**
 * Fills a configuration in: defaults < file < flags, every derived value written out.
 * Resolving the result again gives it back unchanged.
 * @throws SparselawError for an unknown key, a wrong type or values that do not fit together: status 2 where a flag
 *   is to blame, 3 naming file and line where the file is
 */
export function resolveConfig(sources: ConfigSources): Config {
  const origin = originOf(sources);
  const flags = Object.fromEntries(
    Object.entries(sources.flags ?? {}).filter(([, value]) => value !== undefined),
  );
  const asked = { ...sources.defaults, ...sources.file?.values, ...flags };
  // One part of μP named on the command line changes that part of the file's, or of the paper's.
  const fileMup = sources.file?.values.mup ?? sources.defaults?.mup;
  const mup = withPaperMup(asked.mup, flags.mup === undefined ? undefined : fileMup);
  checkKeys(asked, origin);
  const given = checkTypes(mup === undefined ? asked : { ...asked, mup }, origin);
  const config = { ...CONFIG_DEFAULTS, ...given };
  const fail = (keys: readonly ConfigKey[], message: string, ...suggestions: string[]) => {
    // Blame what the user wrote, flags first, rather than a default it clashes with.
    const key =
      keys.find((name) => flags[name] !== undefined) ?? keys.find((name) => name in given) ?? keys[0]!;
    const at = origin(key);
    return at.fail(`${at.place}: ${message}`, { code: 'bad-config', suggestions });
  };

  if (config.data === undefined) {
    throw usageError('No corpus given: a run needs --data DIR.', {
      code: 'no-data',
      suggestions: ['sparselaw corpus build TEXT --out DIR'],
    });
  }
  const vocabSize = config.vocabSize ?? sources.corpusVocabSize;
  if (vocabSize === undefined) throw fail(['vocabSize'], 'is needed where the corpus does not say.');
  if (sources.corpusVocabSize !== undefined && vocabSize < sources.corpusVocabSize) {
    throw fail(
      ['vocabSize'],
      `${vocabSize} is smaller than the corpus's vocabulary of ${sources.corpusVocabSize}.`,
      "Leave vocabSize out to take the corpus's.",
    );
  }
  const heads = config.heads ?? usualHeads(config.width);
  if (config.headDim === undefined && config.width % heads !== 0) {
    throw fail(['heads', 'width'], `width ${config.width} is not a multiple of heads ${heads}.`);
  }
  const headDim = config.headDim ?? config.width / heads;
  if (headDim % 2 !== 0) {
    throw fail(
      ['headDim', 'heads', 'width'],
      `a head's width of ${headDim} is odd, rotary positions need pairs.`,
    );
  }
  const kvHeads = config.kvHeads ?? heads;
  if (heads % kvHeads !== 0) {
    throw fail(['kvHeads', 'heads'], `heads ${heads} is not a multiple of kvHeads ${kvHeads}.`);
  }
  const unit = config.seqLen * config.accumulate * (config.devices ?? 1);
  if (config.batchTokens % unit !== 0) {
    const nearby = Math.max(1, Math.round(config.batchTokens / unit)) * unit;
    throw fail(
      ['batchTokens', 'seqLen', 'accumulate', 'devices'],
      `batchTokens ${config.batchTokens} is not a multiple of seqLen × accumulate × devices = ${unit}.`,
      `Set batchTokens to ${nearby}.`,
    );
  }
  const tokens = Math.max(1, Math.round(config.tokens / config.batchTokens)) * config.batchTokens;
  const tokensOf = (value: number) => (value < 1 ? Math.round(value * tokens) : value);
  const warmup = tokensOf(config.warmup);
  const decay = tokensOf(config.decay);
  if (warmup + (config.schedule === 'wsd' ? decay : 0) > tokens) {
    throw fail(
      ['warmup', 'decay', 'tokens'],
      `warm-up and decay (${warmup + decay}) exceed the run's ${tokens} tokens.`,
    );
  }
  const std = usualDeviations({
    layers: config.layers,
    width: config.width,
    ...(config.mup ? { mup: config.mup } : {}),
  });
  const resolved: Record<ConfigKey, unknown> = {
    ...config,
    vocabSize,
    heads,
    headDim,
    kvHeads,
    ff: config.ff ?? usualFf(config.width, config.gated),
    initStdEmbedding: config.initStdEmbedding ?? std.embedding,
    initStdAttention: config.initStdAttention ?? std.attention,
    initStdAttentionOutput: config.initStdAttentionOutput ?? std.attentionOutput,
    initStdFfn: config.initStdFfn ?? std.ffn,
    initStdFfnOutput: config.initStdFfnOutput ?? std.ffnOutput,
    initStdHead: config.initStdHead ?? std.head,
    data: config.data,
    tokens,
    warmup,
    decay,
    decayHalfLife: config.decayHalfLife ?? Math.max(1, Math.round(decay / 5)),
    // From a hundredth of the run on, where a curve against log tokens begins to say something.
    checkpoints:
      config.checkpoints ?? `log:${Math.max(config.batchTokens, Math.round(tokens / 100))}..${tokens}:16`,
  };
  // In the order of the table, so that two files of equal content are equal text.
  return configSchema.parse(Object.fromEntries(CONFIG_KEYS.map((key) => [key, resolved[key]])));
}

function withPaperMup(asked: unknown, below: unknown): unknown {
  if (typeof asked !== 'object' || asked === null) return asked;
  return { ...PAPER_MUP, ...(typeof below === 'object' ? below : {}), ...asked };
}

/** The model a configuration describes. */
export function shapeOf(config: Config): ModelShape {
  const { layers, width, ff, heads, kvHeads, headDim, vocabSize, activation, gated, tieEmbeddings } = config;
  const { ropeTheta, normEpsilon, mup } = config;
  const sizes = { layers, width, ff, heads, kvHeads, headDim, vocabSize };
  const shape = { ...sizes, activation, gated, tieEmbeddings, ropeTheta, normEpsilon };
  return mup ? { ...shape, mup } : shape;
}

/** SHA-256 of everything in a configuration that can change a run's numbers. */
export function configHash(config: Config): string {
  const material = Object.fromEntries(
    Object.entries(config).filter(([key]) => !IMMATERIAL.includes(key as ConfigKey)),
  );
  return sha256(canonicalJson(material));
}

/** The keys in which two configurations differ, immaterial ones left out. */
export function configDifferences(a: Config, b: Config): ConfigKey[] {
  return CONFIG_KEYS.filter(
    (key) => !IMMATERIAL.includes(key) && canonicalJson(a[key]) !== canonicalJson(b[key]),
  );
}
