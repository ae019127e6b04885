import type { Tensor } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Config, resolveConfig, shapeOf } from '../../../src/config.js';
import { type Engine, openEngine, type TensorTree } from '../../../src/engine/index.js';
import { disposeTree } from '../../../src/engine/tree.js';
import { ACTIVATION_NAMES } from '../../../src/model/activations/index.js';
import { initialParameters, parameterShapes, usualDeviations } from '../../../src/model/parameters.js';
import { type AdamwState, biasCorrections } from '../../../src/training/adamw.js';
import { compileStep, lossAndGradients } from '../../../src/training/step.js';
import { openTestXla, WITHOUT_PLUGIN } from './with-xla.js';

let xla: Engine;
let cpu: Engine;

beforeAll(async () => {
  if (WITHOUT_PLUGIN) return;
  xla = await openTestXla();
  cpu = await openEngine('cpu');
});
afterAll(async () => {
  await xla?.close();
});

const ROWS = 2;
const SEQ_LEN = 6;

function configOf(flags: Record<string, unknown>): Config {
  return resolveConfig({
    flags: {
      ...{ data: 'corpus', layers: 1, width: 16, ff: 24, heads: 4, kvHeads: 2, vocabSize: 32 },
      ...{ seqLen: SEQ_LEN, batchTokens: ROWS * SEQ_LEN, tokens: 10 * ROWS * SEQ_LEN },
      ...flags,
    },
    corpusVocabSize: 32,
  });
}

function parametersOn(engine: Engine, config: Config, fill?: number) {
  const shape = shapeOf(config);
  const initial = initialParameters(shape, usualDeviations(shape), 7);
  return Object.fromEntries(
    Object.entries(parameterShapes(shape)).map(([name, dims]) => [
      name,
      engine.upload({
        dtype: 'float32',
        shape: dims,
        // Large enough that every nonlinearity is felt.
        values: fill === undefined ? initial[name]!.map((v) => v * 4) : initial[name]!.map(() => fill),
      }),
    ]),
  );
}

const tokensOn = (engine: Engine, step: number, accumulate: number) =>
  engine.upload({
    dtype: 'int32',
    shape: [accumulate, ROWS / accumulate, SEQ_LEN + 1],
    values: Int32Array.from({ length: ROWS * (SEQ_LEN + 1) }, (_, i) => (i * (step + 3) * 7 + (i >> 2)) % 32),
  });

async function gradients(engine: Engine, config: Config): Promise<Record<string, number[]>> {
  const shape = shapeOf(config);
  const program = engine.compile(
    (state: Readonly<Record<string, Tensor>>, { rows }: { rows: Tensor }) => {
      const { loss, gradients: all } = lossAndGradients(shape, state, rows);
      return { loss, ...all };
    },
    { name: 'gradients' },
  );
  const parameters = parametersOn(engine, config);
  const batch = tokensOn(engine, 0, 1);
  const rows = engine.upload({
    dtype: 'int32',
    shape: [ROWS, SEQ_LEN + 1],
    values: (await batch.data()) as Int32Array,
  });
  const results = await program.run(parameters, { rows });
  const values: Record<string, number[]> = {};
  for (const [name, tensor] of Object.entries(results)) values[name] = Array.from(await tensor.data());
  disposeTree([parameters, batch, rows, results] as TensorTree);
  program.dispose();
  return values;
}

/** Losses and gradient norms of some steps. */
async function losses(
  engine: Engine,
  config: Config,
  steps: number,
  onStep?: (step: number) => void,
): Promise<number[]> {
  const program = compileStep(engine, config);
  let state: AdamwState = {
    parameters: parametersOn(engine, config),
    firstMoment: parametersOn(engine, config, 0),
    secondMoment: parametersOn(engine, config, 0),
  };
  const values: number[] = [];
  for (let step = 0; step < steps; step++) {
    const tokens = tokensOn(engine, step, config.accumulate);
    const { firstCorrection, secondCorrection } = biasCorrections(step + 1, config);
    const scalars = engine.upload({
      dtype: 'float32',
      shape: [3],
      values: Float32Array.of(3e-3, firstCorrection, secondCorrection),
    });
    const result = await program.run(state, { tokens, scalars });
    state = result.state;
    values.push(...(await result.metrics.data()));
    disposeTree([tokens, scalars, result.metrics]);
    onStep?.(step);
  }
  disposeTree(state as TensorTree);
  program.dispose();
  return values;
}

function largestError(actual: readonly number[], wanted: readonly number[]): number {
  expect(actual.length).toBe(wanted.length);
  return Math.max(...actual.map((value, i) => Math.abs(value - wanted[i]!)));
}

describe.skipIf(WITHOUT_PLUGIN)('a training step on xla equals tfjs cpu', () => {
  const cases = ACTIVATION_NAMES.flatMap((activation) =>
    [true, false].map((tieEmbeddings) => ({ activation, tieEmbeddings, gated: activation !== 'relu2' })),
  );
  it.each(cases)('$activation, tied $tieEmbeddings: the losses of four steps', async (flags) => {
    const config = configOf(flags);
    const lossesAlone = async (engine: Engine) =>
      (await losses(engine, config, 4)).filter((_, i) => i % 2 === 0);
    expect(largestError(await lossesAlone(xla), await lossesAlone(cpu))).toBeLessThanOrEqual(1e-5);
  });

  it.each(cases)('$activation, tied $tieEmbeddings: loss and all gradients', async (flags) => {
    const config = configOf(flags);
    const wanted = await gradients(cpu, config);
    const actual = await gradients(xla, config);
    expect(Object.keys(actual)).toEqual(Object.keys(wanted));
    for (const [name, values] of Object.entries(wanted)) {
      expect(largestError(actual[name]!, values), name).toBeLessThanOrEqual(1e-5);
      expect(
        values.some((value) => value !== 0),
        `${name} has a gradient`,
      ).toBe(true);
    }
  });

  it('gives the same losses and gradient norms over six steps', async () => {
    const config = configOf({ activation: 'silu', tieEmbeddings: false, layers: 2 });
    expect(largestError(await losses(xla, config, 6), await losses(cpu, config, 6))).toBeLessThanOrEqual(
      1e-4,
    );
  });

  it('accumulates over micro-batches in a loop of the program', async () => {
    const whole = configOf({ activation: 'relu' });
    const parts = configOf({ activation: 'relu', accumulate: 2 });
    expect(largestError(await losses(xla, parts, 3), await losses(xla, whole, 3))).toBeLessThanOrEqual(1e-4);
    expect(largestError(await losses(xla, parts, 3), await losses(cpu, parts, 3))).toBeLessThanOrEqual(1e-4);
  });

  it('holds a constant number of buffers over the steps and none afterwards', async () => {
    const before = xla.memory().liveTensors;
    const counts = new Set<number>();
    await losses(xla, configOf({}), 30, () => counts.add(xla.memory().liveTensors));
    expect(counts.size).toBe(1);
    expect(xla.memory().liveTensors).toBe(before);
  });
});
