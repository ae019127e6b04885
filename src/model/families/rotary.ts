import { inverseFrequencies } from '../rope.js';
import type { ConfigReader, JsonObject } from './config-reader.js';
import type { RotarySpec } from './spec.js';

interface RotaryInput {
  headDim: number;
  maxPositions: number;
  /** Keys of older files; transformers 5 writes everything into `rope_parameters`. */
  thetaKey?: string;
  shareKey?: string;
  /** Share of each head that rotates when nothing says so. */
  defaultShare?: number;
}

/**
 * Rotary positions from either form of config.json: `rope_parameters` (transformers 5) or `rope_theta` with
 * `rope_scaling` (4.x), all scaling types of transformers 5.23 but "proportional".
 * @throws SparselawError (status 3) for an unknown type or key, by name
 */
export function readRotary(config: ConfigReader, input: RotaryInput): RotarySpec {
  const old = asObject(config, 'rope_scaling');
  const parameters = { ...old, ...asObject(config, 'rope_parameters') };
  // Read whether needed or not: a file may carry both forms.
  const besides = {
    theta: config.raw(input.thetaKey ?? 'rope_theta'),
    share: config.raw(input.shareKey ?? 'partial_rotary_factor'),
    original: config.raw('original_max_position_embeddings'),
  };
  const theta = numberOf(config, 'rope_theta', parameters.rope_theta ?? besides.theta ?? 10000);
  const share = numberOf(
    config,
    'partial_rotary_factor',
    parameters.partial_rotary_factor ?? besides.share ?? input.defaultShare ?? 1,
  );
  const rotated = Math.floor(input.headDim * share);
  if (!(rotated >= 2 && rotated <= input.headDim) || rotated % 2 !== 0)
    throw config.refuse(`rotating ${rotated} of ${input.headDim} elements`);
  const type = String(parameters.rope_type ?? parameters.type ?? 'default');
  const make = Object.hasOwn(SCALINGS, type) ? SCALINGS[type] : undefined;
  if (!make) throw config.refuse(`the RoPE type ${JSON.stringify(type)}`);
  const used = new Set(['rope_theta', 'partial_rotary_factor', 'rope_type', 'type']);
  const get = (key: string, fallback?: number) => {
    used.add(key);
    return numberOf(config, key, parameters[key] ?? fallback);
  };
  const list = (key: string) => {
    used.add(key);
    const values = parameters[key];
    if (
      !Array.isArray(values) ||
      values.length !== rotated / 2 ||
      !values.every((v) => typeof v === 'number')
    )
      throw config.refuse(`"${key}" that is not a list of ${rotated / 2} numbers`);
    return values as number[];
  };
  const has = (key: string) => {
    used.add(key);
    return (parameters[key] ?? null) !== null;
  };
  const original = has('original_max_position_embeddings')
    ? get('original_max_position_embeddings')
    : numberOf(config, 'original_max_position_embeddings', besides.original ?? input.maxPositions);
  const scaled = make({
    theta,
    rotated,
    original,
    maxPositions: input.maxPositions,
    get,
    has,
    list,
    parameters,
  });
  for (const key of Object.keys(parameters))
    if (!used.has(key) && parameters[key] !== null)
      throw config.refuse(`the option ${JSON.stringify(key)} of RoPE type ${JSON.stringify(type)}`);
  return { kind: 'rotary', rotated, theta, scaling: type, magnitude: 1, ...scaled };
}

interface ScalingInput {
  theta: number;
  rotated: number;
  /** Length the model was trained at before its context was stretched. */
  original: number;
  maxPositions: number;
  get(key: string, fallback?: number): number;
  has(key: string): boolean;
  list(key: string): number[];
  parameters: JsonObject;
}

type Scaled = Pick<RotarySpec, 'frequencies'> & { magnitude?: number };

/** One length for all: the frequencies are computed once. */
const fixed = (frequencies: Float32Array, magnitude = 1): Scaled => ({
  frequencies: () => frequencies,
  magnitude,
});

const SCALINGS: Readonly<Record<string, (input: ScalingInput) => Scaled>> = {
  default: ({ theta, rotated }) => fixed(inverseFrequencies(theta, rotated)),

  linear: ({ theta, rotated, get }) => {
    const factor = get('factor');
    return fixed(inverseFrequencies(theta, rotated).map((f) => f / factor));
  },

  /** NTK-aware: beyond the trained length the base grows with the sequence. */
  dynamic: ({ theta, rotated, maxPositions, get }) => {
    const factor = get('factor');
    return {
      frequencies: (length) => {
        const stretch = (factor * Math.max(length, maxPositions)) / maxPositions - (factor - 1);
        return inverseFrequencies(theta * stretch ** (rotated / (rotated - 2)), rotated);
      },
    };
  },

  /** Llama 3.1: long wavelengths are stretched, short ones kept, those between blended. */
  llama3: ({ theta, rotated, original, get }) => {
    const factor = get('factor');
    const [low, high] = [get('low_freq_factor'), get('high_freq_factor')];
    return fixed(
      inverseFrequencies(theta, rotated).map((f) => {
        const turns = (original * f) / (2 * Math.PI);
        if (turns > high) return f;
        if (turns < low) return f / factor;
        const blend = (turns - low) / (high - low);
        return ((1 - blend) * f) / factor + blend * f;
      }),
    );
  },

  /** YaRN (Peng et al., arXiv 2309.00071): pairs that turn often keep their frequency, others are stretched. */
  yarn: ({ theta, rotated, original, maxPositions, get, has, parameters }) => {
    const factor = has('factor') ? get('factor') : maxPositions / original;
    const mscale = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
    const byWeights = has('mscale') && has('mscale_all_dim');
    const magnitude = has('attention_factor')
      ? get('attention_factor')
      : byWeights
        ? mscale(get('mscale')) / mscale(get('mscale_all_dim'))
        : mscale(1);
    const pairOf = (turns: number) =>
      (rotated * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
    const truncate = !has('truncate') || parameters.truncate !== false;
    const [fast, slow] = [pairOf(get('beta_fast', 32)), pairOf(get('beta_slow', 1))];
    const first = Math.max(truncate ? Math.floor(fast) : fast, 0);
    const last = Math.min(truncate ? Math.ceil(slow) : slow, rotated - 1);
    // Equal ends would divide by zero; transformers widens them by the same amount.
    const span = last === first ? 0.001 : last - first;
    return fixed(
      inverseFrequencies(theta, rotated).map((f, pair) => {
        const stretched = Math.min(Math.max((pair - first) / span, 0), 1);
        return (f / factor) * stretched + f * (1 - stretched);
      }),
      magnitude,
    );
  },

  /** LongRoPE (arXiv 2402.13753): a factor for each pair, of two lists, by the length of the sequence. */
  longrope: ({ theta, rotated, original, maxPositions, get, has, list }) => {
    const factor = has('factor') ? get('factor') : maxPositions / original;
    const magnitude = has('attention_factor')
      ? get('attention_factor')
      : factor <= 1
        ? 1
        : Math.sqrt(1 + Math.log(factor) / Math.log(original));
    const [short, long] = [list('short_factor'), list('long_factor')];
    return {
      magnitude,
      frequencies: (length) =>
        inverseFrequencies(theta, rotated).map((f, pair) => f / (length > original ? long : short)[pair]!),
    };
  },
};

function asObject(config: ConfigReader, key: string): JsonObject {
  const value = config.raw(key);
  if (value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw config.refuse(`"${key}" that is not an object`);
  return value as JsonObject;
}

function numberOf(config: ConfigReader, key: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw config.refuse(`"${key}" with the value ${JSON.stringify(value ?? null)}`);
  return value;
}
