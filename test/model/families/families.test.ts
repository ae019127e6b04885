import { readdirSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openCpu } from '../../../src/engine/cpu.js';
import { openWasm } from '../../../src/engine/wasm.js';
import { familyHiddenStates, familyLogits } from '../../../src/model/families/forward.js';
import { describeFamily, FAMILIES, familyTensors, readFamily } from '../../../src/model/families/index.js';
import { parameterShapes } from '../../../src/model/parameters.js';
import { forward, type NeuronTap } from '../../../src/model/transformer.js';
import { readGolden, readInitial } from '../golden.js';
import { type Config, configOf, expectedOf, FIXTURES, loadCase } from './load-case.js';

const CASES = readdirSync(FIXTURES);

async function worstOf(name: string, config: Config, tap?: NeuronTap, rename?: (stored: string) => string) {
  const { spec, shapes, weights } = await loadCase(name, config, rename);
  const params = Object.fromEntries([...weights].map(([n, { data, shape }]) => [n, tf.tensor(data, shape)]));
  expect(Object.fromEntries([...weights].map(([n, { shape }]) => [n, shape]))).toEqual(shapes);
  const { tokens, logits: wanted } = await expectedOf(name);
  const ids = tf.tensor(tokens.data, tokens.shape, 'int32');
  const logits = familyLogits(spec, params, familyHiddenStates(spec, params, ids, tap)).dataSync();
  expect(logits).toHaveLength(wanted.length);
  return wanted.reduce((worst, value, i) => Math.max(worst, Math.abs(value - logits[i]!)), 0);
}

beforeAll(async () => {
  await openWasm({});
  await openCpu({});
});

describe.each(['cpu', 'wasm'])('on %s', (backend) => {
  beforeAll(async () => void (await tf.setBackend(backend)));

  it.each(CASES)('%s: logits of transformers to 2e-4', async (name) => {
    expect(await worstOf(name, configOf(name))).toBeLessThan(2e-4);
  });
});

it('a plain Llama gives the logits of our own forward, bit for bit', async () => {
  const golden = await readGolden('silu-untied');
  const { shape } = golden;
  const { spec } = readFamily(
    {
      model_type: 'llama',
      hidden_size: shape.width,
      intermediate_size: shape.ff,
      num_hidden_layers: shape.layers,
      num_attention_heads: shape.heads,
      num_key_value_heads: shape.kvHeads,
      vocab_size: shape.vocabSize,
      rms_norm_eps: shape.normEpsilon,
      rope_theta: shape.ropeTheta,
    },
    'config.json',
  );
  expect(familyTensors(spec)).toEqual(parameterShapes(shape));
  const initial = await readInitial();
  const params = Object.fromEntries(
    Object.entries(parameterShapes(shape)).map(([name, dims]) => [
      name,
      tf.tensor(initial.get(name)!.data, dims),
    ]),
  );
  const ids = tf.tensor2d(golden.tokens[0]!, undefined, 'int32');
  const logits = familyLogits(spec, params, familyHiddenStates(spec, params, ids));
  expect(logits.dataSync()).toEqual(forward(shape, params, ids).dataSync());
});

it('has a case for each supported type', () => {
  const types = new Set(CASES.map((name) => configOf(name).model_type));
  for (const { types: supported } of FAMILIES) for (const type of supported) expect(types).toContain(type);
});

it('shows each layer its neurons, and what the tap returns enters the down projection', async () => {
  const seen: number[][] = [];
  const watch: NeuronTap = (layer, { gate, up, hidden, down }) => {
    seen.push([layer, ...gate.shape, ...hidden.shape, ...down.shape]);
    expect(up === null).toBe(true);
    return hidden;
  };
  expect(await worstOf('gpt2', configOf('gpt2'), watch)).toBeLessThan(2e-4);
  expect(seen).toEqual([0, 1].map((layer) => [layer, 20, 24, 20, 24, 16, 24]));
  expect(await worstOf('gpt2', configOf('gpt2'), (_, { hidden }) => tf.zerosLike(hidden))).toBeGreaterThan(
    0.1,
  );
});

it.each(CASES)('%s: tells what was understood', (name) => {
  const { spec } = readFamily(configOf(name), 'config.json');
  const told = describeFamily(spec);
  expect(told.family).toBe(spec.family);
  expect(told.ffn).toBe(`${spec.ff} neurons, ${spec.activation}, ${spec.gated ? 'gated' : 'not gated'}`);
  for (const value of Object.values(told)) expect(value).not.toMatch(/undefined|NaN|null|^$/);
});

it('tells the options that differ', () => {
  expect(describeFamily(readFamily(configOf('gpt_neox'), 'config.json').spec)).toMatchObject({
    family: 'gpt_neox',
    heads: '4 of 4, 4 for keys and values',
    ffn: '24 neurons, gelu, not gated',
    biases: 'queryKeyValue, attentionOutput, ffn',
    positions: 'rotary, base 10000, 2 of 4 elements, default scaling',
    residual: 'both halves in parallel',
  });
  expect(describeFamily(readFamily(configOf('gemma2'), 'config.json').spec)).toMatchObject({
    windows: '5, all',
    caps: 'scores 2, logits 3',
  });
});

it("takes transformers' own value where a file says nothing, and none where it says null", () => {
  const told = (config: Config) => describeFamily(readFamily(config, 'config.json').spec);
  const without = (name: string, ...keys: string[]) =>
    Object.fromEntries(Object.entries(configOf(name)).filter(([key]) => !keys.includes(key)));
  expect(told(without('mistral', 'sliding_window')).windows).toBe('4096');
  expect(told({ ...configOf('mistral'), sliding_window: null }).windows).toBe('all');
  const sliding = { ...without('qwen2', 'sliding_window', 'layer_types'), max_window_layers: 1 };
  expect(told({ ...sliding, use_sliding_window: true }).windows).toBe('all, 4096');
  expect(told({ ...sliding, use_sliding_window: true, sliding_window: null }).windows).toBe('all');
  expect(told({ ...sliding, use_sliding_window: false }).windows).toBe('all');
  const caps = ['attn_logit_softcapping', 'final_logit_softcapping'];
  const bare = without('gemma2', ...caps, 'sliding_window', 'layer_types');
  expect(told(bare)).toMatchObject({ windows: '4096, all', caps: 'scores 50, logits 30' });
  const off = Object.fromEntries(caps.map((key) => [key, null]));
  expect(told({ ...configOf('gemma2'), ...off }).caps).toBe('scores none, logits none');
  expect(() => told({ ...configOf('mistral'), sliding_window: 2.5 })).toThrow('a window of 2.5 tokens');
});

describe('forms of files in the wild', () => {
  it.each(CASES.filter((name) => configOf(name).rope_parameters))(
    '%s as transformers 4 wrote it',
    async (name) => {
      const { rope_parameters, ...config } = configOf(name);
      const { rope_theta, rope_type, partial_rotary_factor, ...scaling } = rope_parameters as Config;
      const isNeox = config.model_type === 'gpt_neox';
      const old = {
        ...config,
        [isNeox ? 'rotary_emb_base' : 'rope_theta']: rope_theta,
        ...(isNeox ? { rotary_pct: partial_rotary_factor } : {}),
        rope_scaling: rope_type === 'default' ? null : { ...scaling, type: rope_type },
      };
      expect(await worstOf(name, old)).toBeLessThan(2e-4);
    },
  );

  it('the frequencies matter: another base gives other logits', async () => {
    const config = configOf('llama');
    const other = { ...config, rope_parameters: { rope_theta: 10000, rope_type: 'default' } };
    expect(await worstOf('llama', other)).toBeGreaterThan(1e-3);
  });

  it.each([
    ['gpt2', 'transformer.'],
    ['opt', 'model.'],
    ['gpt_neox', 'gpt_neox.'],
    ['qwen2', 'model.'],
  ])("%s saved without its head's class", async (name, prefix) => {
    const rename = (stored: string) => (stored.startsWith(prefix) ? stored.slice(prefix.length) : stored);
    expect(await worstOf(name, configOf(name), undefined, rename)).toBeLessThan(2e-4);
  });
});

describe('what is not supported is refused by name', () => {
  const llama = configOf('llama');
  it.each<[Config, RegExp]>([
    [{ ...llama, model_type: 'mamba' }, /models of type "mamba"/],
    [{ ...llama, model_type: undefined }, /models of type null/],
    [{ ...llama, hidden_act: 'xielu' }, /activation "xielu".*"llama"/],
    [{ ...llama, hidden_act: 'toString' }, /activation "toString"/],
    [{ ...llama, no_rope_layers: [1, 0] }, /option "no_rope_layers": \[1,0\]/],
    [{ ...llama, quantization_config: { bits: 4 } }, /quantization_config/],
    [{ ...llama, rope_parameters: { rope_type: 'mystery', rope_theta: 1e4 } }, /RoPE type "mystery"/],
    [{ ...llama, rope_parameters: { rope_type: 'linear', factor: 2, twist: 3 } }, /option "twist".*"linear"/],
    [{ ...llama, rope_parameters: { rope_type: 'linear' } }, /"factor" with the value null/],
    [{ ...llama, hidden_size: undefined }, /"hidden_size" must be a number/],
    [{ ...llama, num_hidden_layers: '2' }, /"num_hidden_layers" must be a number, not "2"/],
    [{ ...llama, num_hidden_layers: 2 ** 32 }, /"num_hidden_layers" must be at most 4096/],
    [{ ...llama, head_dim: 2 ** 31 }, /"head_dim" must be at most 16777216/],
    [{ ...llama, partial_rotary_factor: 2 ** 40 }, /rotating \d+ of/],
    [{ ...llama, num_key_value_heads: 3 }, /4 heads over 3 key heads/],
    [{ ...llama, rope_interleaved: true }, /option "rope_interleaved": true/],
    [{ ...configOf('opt'), do_layer_norm_before: false }, /do_layer_norm_before/],
    [{ ...configOf('opt'), word_embed_proj_dim: 8 }, /word_embed_proj_dim/],
    [{ ...configOf('gpt2'), scale_attn_by_inverse_layer_idx: true }, /scale_attn_by_inverse_layer_idx/],
    [{ ...configOf('gemma2'), layer_types: ['full_attention', 'chunked'] }, /layer type "chunked"/],
    [{ ...configOf('gemma'), use_bidirectional_attention: true }, /use_bidirectional_attention/],
  ])('%#', (config, message) => {
    try {
      readFamily(config, 'm/config.json');
    } catch (error) {
      expect(error).toMatchObject({ exitStatus: 3, message: expect.stringMatching(message) });
      expect(String(error)).toContain('m/config.json');
      return;
    }
    throw new Error('accepted');
  });

  it('a tensor that is missing or unknown', async () => {
    const { locate, spec } = readFamily(llama, 'config.json');
    const names = Object.keys(familyTensors(spec));
    expect(() => locate(names.slice(1))).toThrow(/model\.embed_tokens\.weight is missing/);
    expect(() => locate([...names, 'model.layers.0.mlp.router.weight'])).toThrow(
      /router\.weight has no place/,
    );
    expect(() => locate([...names, 'model.layers.0.self_attn.rotary_emb.inv_freq'])).not.toThrow();
  });
});
