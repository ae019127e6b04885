import { describe, expect, it } from 'vitest';
import {
  CONFIG_KEYS,
  type Config,
  configDifferences,
  configHash,
  parseConfig,
  resolveConfig,
} from '../../src/config.js';

const file = (text: string) => parseConfig(text, 'run.yaml');
const resolve = (text: string, flags: Record<string, unknown> = {}) =>
  resolveConfig({ file: file(`data: corpus\n${text}`), flags, corpusVocabSize: 64 });
const failure = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    return error as { message: string; exitStatus: number };
  }
  throw new Error('nothing was thrown');
};

describe('resolveConfig', () => {
  it('lets flags win over the file and the file over defaults', () => {
    const config = resolve('layers: 3\nwidth: 96\nseed: 5', { seed: 7, width: undefined });
    expect(config).toMatchObject({ layers: 3, width: 96, seed: 7, beta2: 0.95, vocabSize: 64 });
  });

  it('writes every key out, and resolves its own result to itself', () => {
    const config = resolve('tokens: 1M\nwarmup: 0.1\nmup: {widthBase: 64}');
    expect(Object.keys(config)).toEqual(CONFIG_KEYS);
    expect(Object.values(config).every((value) => value !== undefined)).toBe(true);
    const again = resolveConfig({ file: parseConfig(JSON.stringify(config, null, 2), 'config.json') });
    expect(again).toEqual(config);
    expect(configHash(again)).toBe(configHash(config));
  });

  it('derives sizes from the model and tokens from shares', () => {
    const config = resolve('width: 512\ntokens: 1M\nbatchTokens: 8192\nwarmup: 0.1');
    expect(config).toMatchObject({ heads: 8, kvHeads: 8, headDim: 64, ff: 1280 });
    // 1e6 / 8192 = 122.07 steps.
    expect(config.tokens).toBe(122 * 8192);
    expect(config.warmup).toBe(Math.round(0.1 * 122 * 8192));
    expect(config.initStdFfnOutput).toBeCloseTo(0.02 / Math.sqrt(8), 12);
    expect(resolve('gated: false').ff).toBe(512);
    // The paper's μP: 0.1 / √(512 / 256).
    expect(resolve('width: 512\nmup: {scaleDepth: 2}')).toMatchObject({
      mup: { scaleEmbedding: 12, scaleDepth: 2, widthBase: 256 },
      initStdFfn: 0.1 / Math.SQRT2,
    });
  });

  it.each([
    [
      'layers.count: 3',
      3,
      'run.yaml, line 2: layers.count is not a key of the configuration. Did you mean layers?',
    ],
    ['layrs: 3', 3, 'run.yaml, line 2: layrs is not a key of the configuration. Did you mean layers?'],
    [
      'seed: 1\nbatch_tokens: 3',
      3,
      'run.yaml, line 3: batch_tokens is not a key of the configuration. Did you mean batchTokens?',
    ],
    [
      'mup:\n  widthBas: 3',
      3,
      'run.yaml, line 3: mup.widthBas is not a key of the configuration. Did you mean widthBase?',
    ],
    ['layers: four', 3, 'run.yaml, line 2: layers must be a whole number of at least 1, not "four".'],
    ['gated: 1', 3, 'run.yaml, line 2: gated must be true or false, not 1.'],
    ['mup:\n  widthBase: -1', 3, 'run.yaml, line 3: mup.widthBase must be a positive number, not -1.'],
    [
      'activation: rellu',
      3,
      'run.yaml, line 2: activation must be one of relu, silu, gelu, gelu_tanh, relu2, drelu, not "rellu".',
    ],
    ['learningRate: .nan', 3, 'run.yaml, line 2: learningRate must be a positive number, not null.'],
    ['width: 30\nheads: 4', 3, 'run.yaml, line 3: heads: width 30 is not a multiple of heads 4.'],
    ['vocabSize: 10', 3, "run.yaml, line 2: vocabSize: 10 is smaller than the corpus's vocabulary of 64."],
    [
      'batchTokens: 1000',
      3,
      'run.yaml, line 2: batchTokens: batchTokens 1000 is not a multiple of seqLen × accumulate × devices = 256.',
    ],
  ])('names file, line and cause: %s', (text, status, message) => {
    const error = failure(() => resolve(text));
    expect(error.message).toBe(message);
    expect(error.exitStatus).toBe(status);
  });

  it('blames flags with status 2', () => {
    expect(failure(() => resolve('', { batchTokens: 'many' }))).toMatchObject({
      exitStatus: 2,
      message: '--batch-tokens must be a whole number of at least 1, such as 8192 or 2M, not "many".',
    });
    expect(failure(() => resolve('width: 30', { heads: 4 })).exitStatus).toBe(2);
    expect(failure(() => resolve('', { mup: { widthBase: 0 } })).message).toBe(
      '--mup-width-base must be a positive number, not 0.',
    );
    expect(failure(() => resolveConfig({})).message).toMatch(/--data/);
  });

  it('leaves the place of files and the amount kept out of the hash, and nothing else', () => {
    const config = resolve('');
    const changed: Config = { ...config, data: 'elsewhere', keepState: 7, logEvery: 3 };
    expect(configHash(changed)).toBe(configHash(config));
    expect(configHash({ ...config, seed: 1 })).not.toBe(configHash(config));
    expect(configDifferences(config, { ...changed, seed: 1, clip: 0 })).toEqual(['clip', 'seed']);
  });
});

describe('parseConfig', () => {
  it('reads suffixes, JSON and nothing', () => {
    expect(resolve('tokens: 2M\nbatchTokens: 8k', { seqLen: 250 }).tokens).toBe(250 * 8000);
    expect(file('{\n\t"layers": 2,\n\t"mup": null\n}').values).toEqual({ layers: 2, mup: null });
    expect(file('').values).toEqual({});
  });

  it.each([
    ['layers: 1\nlayers: 2', /run\.yaml, line 2, column 1: a key stands twice/],
    ['layers: [1', /run\.yaml, line \d+, column \d+: /],
    ['- 1\n- 2', /is not a list of keys and values/],
    ['hello', /is not a list of keys and values/],
  ])('refuses %j with status 3', (text, message) => {
    const error = failure(() => file(text));
    expect(error.message).toMatch(message);
    expect(error.message).not.toMatch(/\n/);
    expect(error.exitStatus).toBe(3);
  });

  it('is not taken in by __proto__ or by aliases that multiply', () => {
    expect(failure(() => resolve('__proto__: {layers: 1}')).exitStatus).toBe(3);
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...'bcdefghi'.split('').map((name, i) => {
        const before = 'abcdefghi'[i]!;
        return `${name}: &${name} [${new Array(9).fill(`*${before}`).join()}]`;
      }),
    ].join('\n');
    expect(failure(() => file(bomb)).exitStatus).toBe(3);
  });
});
