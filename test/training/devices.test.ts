import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Config, resolveConfig, shapeOf } from '../../src/config.js';
import { type Engine, openEngine } from '../../src/engine/index.js';
import { findPlugin } from '../../src/engine/install/index.js';
import { openPlugin } from '../../src/engine/xla/open.js';
import type { BufferSpec } from '../../src/engine/xla/pjrt/index.js';
import { checkpointPaths, listCheckpoints, metricsRowSchema } from '../../src/files/run.js';
import { readJsonl } from '../../src/io/jsonl.js';
import { readTensors } from '../../src/io/safetensors.js';
import { initialParameters, usualDeviations } from '../../src/model/parameters.js';
import { openTrainingData } from '../../src/training/data.js';
import { createTrainer } from '../../src/training/loop.js';
import { train } from '../../src/training/train.js';
import { WITHOUT_PLUGIN } from '../engine/xla/with-xla.js';
import { TINY, writeTinyCorpus } from './corpus.js';
import { bytesOf } from './run-bytes.js';

let folder: string;
let data: string;
const STEPS = 20;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-devices-'));
  data = await writeTinyCorpus(join(folder, 'corpus'));
  if (!WITHOUT_PLUGIN) await train(configOf({ devices: 1 }), { out: join(folder, 'one') });
});
afterAll(() => rm(folder, { recursive: true }));

const configOf = (changes: Partial<Config>): Config =>
  resolveConfig({
    flags: {
      ...{ ...TINY, data, engine: 'xla', device: 'cpu', keepState: 9, tokens: STEPS * TINY.batchTokens },
      ...changes,
    },
    corpusVocabSize: 32,
  });

const lossesOf = async (run: string) =>
  (await readJsonl(join(run, 'metrics.jsonl'), metricsRowSchema)).rows.map((row) =>
    'loss_nats_per_token' in row ? row.loss_nats_per_token : row.validation_loss_nats_per_token,
  );

/** Weights and moments of the last checkpoint. */
async function stateOf(run: string): Promise<Map<string, Float32Array>> {
  const { model, optimizer } = checkpointPaths((await listCheckpoints(run)).at(-1)!.path);
  const files = await Promise.all([model, optimizer].map((path) => readTensors(path)));
  return new Map(
    files.flatMap((tensors) =>
      [...tensors].map(([name, { data: values }]): [string, Float32Array] => [name, values as Float32Array]),
    ),
  );
}

/** Largest difference, in units of 1 or of the largest value of the tensor where that is more. */
function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  const scale = Math.max(1, ...Array.from(b, Math.abs));
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!))) / scale;
}

async function expectEqualRuns(actual: string, wanted: string): Promise<void> {
  expect(largestDifference(await lossesOf(actual), await lossesOf(wanted))).toBeLessThan(2e-6);
  const [a, b] = [await stateOf(actual), await stateOf(wanted)];
  expect([...a.keys()]).toEqual([...b.keys()]);
  for (const [name, values] of a) {
    expect(largestDifference(values, b.get(name)!), name).toBeLessThan(1e-5);
  }
  // The same files, of whatever number of devices.
  expect(Object.keys(await bytesOf(actual))).toEqual(Object.keys(await bytesOf(wanted)));
}

describe.skipIf(WITHOUT_PLUGIN)('training on several devices', () => {
  it.each<[number, Partial<Config>]>([
    [2, {}],
    [4, {}],
    [4, { shardState: true }],
    [2, { accumulate: 2, shardState: true }],
  ])('%i devices come to the losses and weights of one, %j', async (devices, changes) => {
    const run = join(folder, `${devices}-${JSON.stringify(changes).replace(/\W/g, '')}`);
    await train(configOf({ devices, ...changes }), { out: run });
    await expectEqualRuns(run, join(folder, 'one'));
  });

  it('resumes on another number of devices', async () => {
    const out = join(folder, 'resumed');
    for (const [devices, stop] of [
      [2, 7],
      [4, 13],
      [1, STEPS],
    ] as const) {
      const controller = new AbortController();
      const result = await train(configOf({ devices, shardState: devices === 4 }), {
        out,
        resume: true,
        signal: controller.signal,
        onEvent: (event) => {
          if (event.type === 'step' && event.step === stop) controller.abort();
        },
      });
      expect(result.status).toBe(stop === STEPS ? 'done' : 'interrupted');
    }
    expect(largestDifference(await lossesOf(out), await lossesOf(join(folder, 'one')))).toBeLessThan(2e-6);
    const [a, b] = [await stateOf(out), await stateOf(join(folder, 'one'))];
    for (const [name, values] of a) expect(largestDifference(values, b.get(name)!), name).toBeLessThan(1e-5);
  });

  it('gives the same bytes every time', async () => {
    const runs = ['first', 'second'].map((name) => join(folder, name));
    for (const out of runs) await train(configOf({ devices: 4, shardState: true }), { out });
    expect(await bytesOf(runs[0]!)).toEqual(await bytesOf(runs[1]!));
  });

  it('refuses a batch that the devices cannot share', async () => {
    const config = { ...configOf({}), devices: 3 };
    await expect(train(config, { out: join(folder, 'refused') })).rejects.toMatchObject({
      exitStatus: 4,
      message: '3 devices cannot share the 4 sequences of a step equally.',
      suggestions: ['--devices 2', '--batch-tokens 48'],
    });
  });

  it('holds less on each device when the state is divided', async () => {
    const opened = await openTrainingData(configOf({}));
    const bytes = async (devices: number, shardState: boolean) => {
      const engine: Engine = await openEngine('xla', { device: 'cpu', devices });
      const config = configOf({ devices, shardState });
      const shape = shapeOf(config);
      const parameters = initialParameters(shape, usualDeviations(shape), 0);
      const zeros = Object.fromEntries(
        Object.entries(parameters).map(([name, values]) => [name, values.map(() => 0)]),
      );
      const state = { parameters, firstMoment: zeros, secondMoment: zeros };
      const trainer = createTrainer({
        ...{ engine, config, data: opened, state, step: 0, steps: 2 },
        onReport: () => {},
      });
      await trainer.advance();
      await trainer.advance();
      await trainer.drain();
      const { bytesInUse } = engine.memory();
      trainer.dispose();
      expect(engine.memory().liveTensors).toBe(0);
      await engine.close();
      return bytesInUse! / (4 * Object.values(parameters).reduce((sum, { length }) => sum + length, 0));
    };
    // In units of the parameters: weights and two moments; moments halved and quartered.
    expect(await bytes(1, false)).toBe(3);
    expect(await bytes(2, false)).toBe(3);
    expect(await bytes(2, true)).toBe(2);
    expect(await bytes(4, true)).toBe(1.5);
    opened.close();
  });

  it.each([
    [1, {}, { 'all-reduce': 0, 'all-gather': 0 }],
    [4, {}, { 'all-reduce': 1, 'all-gather': 0 }],
    [2, { accumulate: 2 }, { 'all-reduce': 1, 'all-gather': 0 }],
    [2, { shardState: true }, { 'all-reduce': 1, 'all-gather': 1 }],
  ])('exchanges values once a step: %i devices, %j', async (devices, changes, wanted) => {
    const out = join(folder, `collectives-${devices}-${JSON.stringify(changes).replace(/\W/g, '')}`);
    const dumps = `${out}-programs`;
    await train(
      configOf({ devices, tokens: TINY.batchTokens, checkpoints: 'every:32', warmup: 0, ...changes }),
      {
        out,
        dumpProgramDir: dumps,
      },
    );
    const text = await readFile(join(dumps, 'train-step.mlir'), 'utf8');
    expect(await collectivesOf(text, devices)).toEqual(wanted);
  });
});

/** How often the program, as the compiler leaves it, has each collective operation. */
async function collectivesOf(text: string, replicas: number): Promise<Record<string, number>> {
  const [, inputs, outputs] = /@main\(([\s\S]*?)\) -> \(([\s\S]*?)\) \{\n/.exec(text)!;
  const specs = (types: string) =>
    [...types.matchAll(/tensor<([^>]*)>/g)].map(([, type]) => {
      const parts = type!.split('x');
      return { elementType: parts.pop(), shape: parts.map(Number) } as BufferSpec;
    });
  const client = await openPlugin(await findPlugin('cpu'), {}, replicas);
  try {
    const program = await client.compile(
      { name: 'step', text, inputs: specs(inputs!), outputs: specs(outputs!), donated: [] },
      { replicas, cache: false },
    );
    const module = Buffer.from(program.optimizedProgram()).toString('latin1');
    // An HloInstructionProto has its operation as field 2, a text (and its name, which repeats it, as field 1).
    const count = (opcode: string) =>
      module.split(`\x12${String.fromCharCode(opcode.length)}${opcode}`).length - 1;
    expect(count('dot') + count('fusion') + count('call')).toBeGreaterThan(0);
    return Object.fromEntries(['all-reduce', 'all-gather'].map((opcode) => [opcode, count(opcode)]));
  } finally {
    await client.close();
  }
}
