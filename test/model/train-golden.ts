import * as tf from '@tensorflow/tfjs-core';
import { expect } from 'vitest';
import type { Engine } from '../../src/engine/index.js';
import { disposeTree } from '../../src/engine/tree.js';
import { checkParameters, isMatrix, parameterShapes } from '../../src/model/parameters.js';
import { forward, tokenLosses } from '../../src/model/transformer.js';
import { type AdamwOptions, type AdamwState, adamwStep, biasCorrections } from '../../src/training/adamw.js';
import { batchOf, type Golden, readInitial, worstDifference } from './golden.js';

/** Cases that train ten steps. */
export const TRAINED = ['relu-tied', 'relu-untied', 'silu-tied', 'silu-untied'];
/** Cases of one step. */
export const OTHERS = ['gelu', 'gelu_tanh', 'drelu', 'relu2-not-gated', 'mup-tied'];

/** Differences relative to a tensor's largest entry: single precision, in another order of summation. */
const LOGITS = 2e-6;
const GRADIENTS = 5e-6;
/** After ten steps of AdamW, which divides by the gradients' own size and so amplifies differences of small ones. */
const AFTER_TRAINING = 2e-4;

interface Step {
  loss: number;
  gradientNorm: number;
  logits: Float32Array;
  gradients: Map<string, Float32Array>;
}

/** Trains as the golden did; gives each step's figures and the weights at the end. */
export async function trainGolden(engine: Engine, golden: Golden) {
  const { shape, optimiser } = golden;
  const shapes = parameterShapes(shape);
  const initial = await readInitial();
  checkParameters(shape, new Map(Object.keys(shapes).map((name) => [name, initial.get(name)!])));
  const options: AdamwOptions = {
    ...optimiser,
    decays: (name) => isMatrix(shapes[name]!),
    learningRateFactor: () => 1,
  };
  const upload = (values: Float32Array, dims: number[]) =>
    engine.upload({ dtype: 'float32', shape: dims, values });
  const all = (values: (name: string, size: number) => Float32Array) =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, dims]) => [
        name,
        upload(
          values(
            name,
            dims.reduce((a, b) => a * b, 1),
          ),
          dims,
        ),
      ]),
    );

  type Input = Record<
    'tokens' | 'targets' | 'learningRate' | 'firstCorrection' | 'secondCorrection',
    tf.Tensor
  >;
  const program = engine.compile(
    (state: AdamwState, { tokens, targets, ...scalars }: Input) => {
      const names = Object.keys(state.parameters);
      const named = (weights: tf.Tensor[]) => Object.fromEntries(names.map((name, i) => [name, weights[i]!]));
      const loss = (...weights: tf.Tensor[]) =>
        tf.mean(tokenLosses(forward(shape, named(weights), tokens), targets)) as tf.Scalar;
      const { value, grads } = tf.valueAndGrads(loss)(Object.values(state.parameters));
      const gradients = named(grads);
      const next = adamwStep(state, gradients, scalars, options);
      return { ...next, loss: value, gradients, logits: forward(shape, state.parameters, tokens) };
    },
    { name: 'parity', donate: true },
  );

  let state: AdamwState = {
    parameters: all((name) => initial.get(name)!.data),
    firstMoment: all((_, size) => new Float32Array(size)),
    secondMoment: all((_, size) => new Float32Array(size)),
  };
  const steps: Step[] = [];
  let live: number | undefined;
  for (const [index, rate] of golden.learningRates.entries()) {
    const { inputs, targets, dims } = batchOf(golden, index);
    const corrections = biasCorrections(index + 1, optimiser);
    const scalar = (value: number) => upload(Float32Array.of(value), []);
    const input = {
      tokens: engine.upload({ dtype: 'int32', shape: dims, values: inputs }),
      targets: engine.upload({ dtype: 'int32', shape: [targets.length], values: targets }),
      learningRate: scalar(rate),
      firstCorrection: scalar(corrections.firstCorrection),
      secondCorrection: scalar(corrections.secondCorrection),
    };
    const { state: next, ...rest } = await program.run(state, input);
    const read = async (t: tf.Tensor) => (await t.data()) as Float32Array;
    const gradients = new Map<string, Float32Array>();
    for (const [name, gradient] of Object.entries(rest.gradients)) gradients.set(name, await read(gradient));
    steps.push({
      loss: (await read(rest.loss))[0]!,
      gradientNorm: (await read(rest.gradientNorm))[0]!,
      logits: await read(rest.logits),
      gradients,
    });
    disposeTree(rest);
    disposeTree(input);
    state = next;
    live ??= engine.memory().liveTensors;
    expect(engine.memory().liveTensors, 'tensors after each step').toBe(live);
  }
  const final = new Map<string, Float32Array>();
  for (const [name, weights] of Object.entries(state.parameters))
    final.set(name, (await weights.data()) as Float32Array);
  disposeTree(state);
  program.dispose();
  return { steps, final };
}

const norm = (values: Float32Array) => Math.hypot(...values);

/** Fails with the step and the tensor that differs. */
export function compareWithGolden(
  golden: Golden,
  { steps, final }: Awaited<ReturnType<typeof trainGolden>>,
  gradients = GRADIENTS,
) {
  const expected = (name: string) => golden.tensors.get(name)!.data;
  expect(steps).toHaveLength(golden.losses.length);
  expect(worstDifference(steps[0]!.logits, expected('logits'))).toBeLessThan(LOGITS);
  for (const [index, step] of steps.entries()) {
    const tolerance = index === 0 ? gradients : AFTER_TRAINING;
    expect(worstDifference([step.loss], [golden.losses[index]!])).toBeLessThan(tolerance);
    expect(worstDifference([step.gradientNorm], [golden.gradientNorms[index]!])).toBeLessThan(tolerance);
    const byName = golden.gradientNormsByName[index]!;
    expect([...step.gradients.keys()].sort()).toEqual(Object.keys(byName).sort());
    for (const [name, gradient] of step.gradients) {
      expect(worstDifference([norm(gradient)], [byName[name]!]), `step ${index}: ${name}`).toBeLessThan(
        tolerance,
      );
      if (index === 0 || index === steps.length - 1)
        expect(
          worstDifference(gradient, expected(`gradient.${index}.${name}`)),
          `step ${index}: gradient of ${name}`,
        ).toBeLessThan(tolerance);
    }
  }
  if (steps.length === 1) return;
  for (const [name, weights] of final)
    expect(worstDifference(weights, expected(`final.${name}`)), name).toBeLessThan(AFTER_TRAINING);
}
