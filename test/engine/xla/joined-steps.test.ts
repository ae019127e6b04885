import { afterAll, describe, expect, it } from 'vitest';
import { type Config, resolveConfig, shapeOf } from '../../../src/config.js';
import type { Engine, Precision } from '../../../src/engine/index.js';
import { findPlugin } from '../../../src/engine/install/index.js';
import { disposeTree } from '../../../src/engine/tree.js';
import { xlaEngine } from '../../../src/engine/xla/index.js';
import { type KernelKind, kernelsOf, PROVEN_KINDS } from '../../../src/engine/xla/kernel-choice.js';
import { openPlugin } from '../../../src/engine/xla/open.js';
import type { PjrtClient } from '../../../src/engine/xla/pjrt/index.js';
import { initialParameters, parameterShapes, usualDeviations } from '../../../src/model/parameters.js';
import { biasCorrections } from '../../../src/training/adamw.js';
import { shardOf } from '../../../src/training/devices.js';
import { compileStep } from '../../../src/training/step.js';
import { TEST_DEVICE, TEST_DEVICES, WITHOUT_PLUGIN } from './with-xla.js';

const LAYERS = 2;
const VOCABULARY = 32;
const SEQ_LEN = 64;
/** Of each device: as few positions as kernels of our own take. */
const ROWS = 8;

interface Form {
  readonly devices?: number;
  readonly flags?: Record<string, unknown>;
}

const MUP = { mup: { scaleEmbedding: 12, scaleDepth: 1.4, widthBase: 16 } };

function configOf({ devices = 1, flags }: Form): Config {
  const batchTokens = devices * ROWS * SEQ_LEN;
  return resolveConfig({
    flags: {
      ...{ data: 'corpus', layers: LAYERS, width: 32, ff: 64, heads: 4, vocabSize: VOCABULARY },
      ...{ seqLen: SEQ_LEN, batchTokens, tokens: 100 * batchTokens, activation: 'relu', ...flags },
    },
    corpusVocabSize: VOCABULARY,
  });
}

/** A client that says it is a GPU's without cuDNN, so that programs are written with kernels of our own, and plain attention. */
function likeGpu(client: PjrtClient, onText: (text: string) => void): PjrtClient {
  const answers: Partial<Record<string | symbol, unknown>> = { platform: 'cuda', deviceAttributes: {} };
  return new Proxy(client, {
    get(target, name) {
      if (name in answers) return answers[name];
      if (name !== 'compile') return Reflect.get(target, name);
      return (...given: Parameters<PjrtClient['compile']>) => {
        onText(given[0].text);
        return target.compile(...given);
      };
    },
  });
}

const clients = new Map<number, Promise<PjrtClient>>();
/** As programs in bfloat16 are compiled: what is held in it is stored in it. */
function clientOf(devices: number): Promise<PjrtClient> {
  const open = async () =>
    openPlugin(await findPlugin(TEST_DEVICE), { xla_allow_excess_precision: false }, devices);
  const client = clients.get(devices) ?? open();
  clients.set(devices, client);
  return client;
}
afterAll(async () => {
  for (const client of clients.values()) (await client).close();
});

function inputOf(engine: Engine, config: Config) {
  const rows = config.batchTokens / SEQ_LEN / config.accumulate;
  const shape = [config.accumulate, rows, SEQ_LEN + 1];
  const ids = Int32Array.from(
    { length: config.accumulate * rows * (SEQ_LEN + 1) },
    (_, i) => (i * 21 + (i >> 2)) % VOCABULARY,
  );
  const { firstCorrection, secondCorrection } = biasCorrections(1, config);
  const split = engine.devices > 1 ? { split: 1 } : {};
  return {
    tokens: engine.upload({ dtype: 'int32', shape, values: ids, ...split }),
    scalars: engine.upload({
      ...{ dtype: 'float32', shape: [3] },
      values: Float32Array.from([1e-3, firstCorrection, secondCorrection]),
    }),
  };
}

function stateOf(engine: Engine, config: Config) {
  const shape = shapeOf(config);
  const initial = initialParameters(shape, usualDeviations(shape), 7);
  const shard = shardOf(engine, config);
  const map = (filled: boolean) =>
    Object.fromEntries(
      Object.entries(parameterShapes(shape)).map(([name, dims]) => {
        const values = filled ? initial[name]!.map((x) => x * 4) : initial[name]!.map(() => 0);
        const split = filled ? undefined : shard?.(name);
        const whole = { dtype: 'float32' as const, shape: dims, values };
        return [name, engine.upload(split === undefined ? whole : { ...whole, split })];
      }),
    );
  return { parameters: map(true), firstMoment: map(false), secondMoment: map(false) };
}

interface Ran {
  readonly text: string;
  readonly loss?: number;
  /** First moments by parameter: after one step, multiples of the gradients. */
  readonly moments?: ReadonlyMap<string, Float32Array>;
}

/** One step with kernels of some kinds; of `as: 'text'` what would be compiled, and no more. */
async function stepOf(
  form: Form,
  kinds: readonly KernelKind[],
  as: 'text' | 'numbers',
  precision: Precision = 'bfloat16',
): Promise<Ran> {
  let text = '';
  const refusal = new Error('the text is all');
  const client = likeGpu(await clientOf(form.devices ?? 1), (given) => {
    text = given;
    if (as === 'text') throw refusal;
  });
  const engine = xlaEngine(client, { device: 'cuda', precision, kernels: kernelsOf(kinds) });
  const config = configOf(form);
  const program = compileStep(engine, config);
  const [state, input] = [stateOf(engine, config), inputOf(engine, config)];
  try {
    const result = await program.run(state, input);
    const names = Object.keys(state.parameters);
    const moments = await Promise.all(
      names.map(
        async (name) => [name, (await result.state.firstMoment[name]!.data()) as Float32Array] as const,
      ),
    );
    const ran = { text, loss: (await result.metrics.data())[0]!, moments: new Map(moments) };
    disposeTree(result);
    return ran;
  } catch (error) {
    if (error !== refusal) throw error;
    disposeTree(state);
    return { text };
  } finally {
    disposeTree(input);
    program.dispose();
  }
}

const countOf = (text: string, what: string | RegExp) => text.split(what).length - 1;
const products = (text: string) => countOf(text, 'stablehlo.dot_general');
const pairs = (text: string) => countOf(text, 'name = "pairs"');

describe.skipIf(WITHOUT_PLUGIN)('a training step with the kernels that are the default', () => {
  const FORMS: [string, Form][] = [
    ['of the usual form', {}],
    ['with grouped queries', { flags: { kvHeads: 2 } }],
    ['under μP', { flags: MUP }],
    ['with SiLU', { flags: { activation: 'silu' } }],
    ['on two devices', { devices: 2 }],
    ['on two devices with divided state', { devices: 2, flags: { shardState: true } }],
  ];
  const WITH_BOTH = FORMS.filter(([, { devices = 1 }]) => devices <= TEST_DEVICES);
  // The processor has no Triton.
  const KINDS: readonly KernelKind[] = TEST_DEVICE === 'cpu' ? ['sums'] : ['pairs', 'sums'];

  it.each(WITH_BOTH)(
    '%s joins the products of gate and up, and those of queries, keys and values',
    async (_, form) => {
      const [plain, own] = [await stepOf(form, [], 'text'), await stepOf(form, PROVEN_KINDS, 'text')];
      expect(products(plain.text) - products(own.text)).toBe(LAYERS * (3 + 4));
      expect(pairs(own.text)).toBe(LAYERS);
    },
  );

  it.each<[string, Form]>([
    ['without a gate', { flags: { gated: false } }],
    ['with a tanh that no kernel of ours computes', { flags: { activation: 'gelu_tanh' } }],
  ])('%s joins those of queries, keys and values alone', async (_, form) => {
    const [plain, own] = [await stepOf(form, [], 'text'), await stepOf(form, PROVEN_KINDS, 'text')];
    expect(products(plain.text) - products(own.text)).toBe(LAYERS * 4);
    expect(pairs(own.text)).toBe(0);
  });

  it.each<[string, Form, Precision]>([
    [
      'of several micro-batches, a loop',
      { flags: { accumulate: 2, batchTokens: 2 * ROWS * SEQ_LEN } },
      'bfloat16',
    ],
    ['in float32', {}, 'float32'],
    ['in tf32', {}, 'tf32'],
  ])('%s joins none', async (_, form, precision) => {
    const [plain, own] = [
      await stepOf(form, [], 'text', precision),
      await stepOf(form, ['pairs', 'sums'], 'text', precision),
    ];
    expect(own.text).toBe(plain.text);
  });

  it.each(WITH_BOTH)('%s gives the gradients of one that joins none', async (_, form) => {
    const [plain, own] = [await stepOf(form, [], 'numbers'), await stepOf(form, KINDS, 'numbers')];
    expect(products(plain.text) - products(own.text)).toBe(LAYERS * (TEST_DEVICE === 'cpu' ? 4 : 3 + 4));
    expect(Math.abs(own.loss! / plain.loss! - 1)).toBeLessThan(2 ** -10);
    for (const [name, wanted] of plain.moments!) {
      const largest = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      const off = own.moments!.get(name)!.map((x, i) => Math.abs(x - wanted[i]!) / largest);
      // The last digit of sums in bfloat16, and what comes of it.
      expect(Math.max(...off), name).toBeLessThan(2 ** -6);
    }
  });
});
