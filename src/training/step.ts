import {
  add,
  div,
  mean,
  reshape,
  type Scalar,
  scalar,
  slice,
  stack,
  sum,
  type Tensor,
  valueAndGrads,
  zerosLike,
} from '@tensorflow/tfjs-core';
import type { Config } from '../config.js';
import { shapeOf } from '../config.js';
import type { Engine, Program } from '../engine/index.js';
import { isMatrix, learningRateFactor, parameterShapes } from '../model/parameters.js';
import type { ModelShape } from '../model/shape.js';
import { forward, tokenLosses } from '../model/transformer.js';
import { type AdamwOptions, type AdamwState, adamwStep, type TensorMap } from './adamw.js';

export interface StepInput {
  readonly [key: string]: Tensor;
  /** [accumulate, rows, seqLen + 1] int32. */
  readonly tokens: Tensor;
  /** [learning rate, 1/(1 − β₁ᵗ), 1/(1 − β₂ᵗ)]: one upload a step. */
  readonly scalars: Tensor;
}

export type StepResult = {
  readonly state: AdamwState;
  /** [loss in nats per token before the update, global norm of the gradient before clipping]. */
  readonly metrics: Tensor;
};

/** AdamW's fixed options for a run. */
export function adamwOptions(config: Config): AdamwOptions {
  const shape = shapeOf(config);
  const shapes = parameterShapes(shape);
  const { beta1, beta2, adamEpsilon: epsilon, weightDecay, clip } = config;
  return {
    beta1,
    beta2,
    epsilon,
    weightDecay,
    clip,
    decays: (name) => config.weightDecayOn === 'all' || isMatrix(shapes[name]!),
    learningRateFactor: (name) => learningRateFactor(shape, name),
  };
}

/** Losses in nats of each prediction, [rows · seqLen], for rows of seqLen + 1 ids. */
export function rowLosses(shape: ModelShape, parameters: TensorMap, rows: Tensor): Tensor {
  const [count, width] = rows.shape as [number, number];
  const inputs = slice(rows, [0, 0], [count, width - 1]);
  const targets = reshape(slice(rows, [0, 1], [count, width - 1]), [count * (width - 1)]);
  return tokenLosses(forward(shape, parameters, inputs), targets);
}

/** Mean loss of rows and its gradient by every parameter. */
export function lossAndGradients(
  shape: ModelShape,
  parameters: TensorMap,
  rows: Tensor,
): { loss: Scalar; gradients: TensorMap } {
  const names = Object.keys(parameters);
  const lossOf = (...values: Tensor[]) => {
    const byName = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
    return mean(rowLosses(shape, byName, rows)) as Scalar;
  };
  const { value, grads } = valueAndGrads(lossOf)(names.map((name) => parameters[name]!));
  return { loss: value as Scalar, gradients: Object.fromEntries(names.map((name, i) => [name, grads[i]!])) };
}

/** One optimiser step as one program: forward, backward, accumulation, clipping and AdamW together. */
export function compileStep(engine: Engine, config: Config): Program<AdamwState, StepInput, StepResult> {
  const shape = shapeOf(config);
  const options = adamwOptions(config);
  const step = (state: AdamwState, { tokens, scalars }: StepInput): StepResult => {
    const { loss, gradients } = accumulated(engine, shape, state.parameters, tokens);
    const at = (index: number) => reshape(slice(scalars, [index], [1]), []);
    const rates = { learningRate: at(0), firstCorrection: at(1), secondCorrection: at(2) };
    const next = adamwStep(state, gradients, rates, options);
    return { state: next.state, metrics: stack([loss, next.gradientNorm]) };
  };
  return engine.compile(step, { name: 'train-step', donate: true });
}

/** Mean over micro-batches, which have equally many tokens: equal to the mean over the whole batch. */
function accumulated(engine: Engine, shape: ModelShape, parameters: TensorMap, tokens: Tensor) {
  const [count, rows, width] = tokens.shape as [number, number, number];
  if (count === 1) return lossAndGradients(shape, parameters, reshape(tokens, [rows, width]));
  type Sums = { loss: Tensor; gradients: TensorMap };
  const zeros = Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, zerosLike(value)]),
  );
  const sums = engine.fold<Sums, { rows: Tensor }>(
    (carry, input) => {
      const { loss, gradients } = lossAndGradients(shape, parameters, input.rows);
      return {
        loss: add(carry.loss, loss),
        gradients: Object.fromEntries(
          Object.entries(gradients).map(([name, value]) => [name, add(carry.gradients[name]!, value)]),
        ),
      };
    },
    { loss: scalar(0), gradients: zeros },
    { rows: tokens },
  );
  return {
    loss: div(sums.loss, count) as Scalar,
    gradients: Object.fromEntries(
      Object.entries(sums.gradients).map(([name, value]) => [name, div(value, count)]),
    ),
  };
}

export type ValidationInput = { readonly rows: Tensor };

/** Summed loss of each row, [rows] nats: summed further in double on the host. */
export function compileValidation(
  engine: Engine,
  shape: ModelShape,
): Program<TensorMap, ValidationInput, Tensor> {
  return engine.compile(
    (parameters: TensorMap, { rows }: ValidationInput): Tensor => {
      const [count, width] = rows.shape as [number, number];
      return sum(reshape(rowLosses(shape, parameters, rows), [count, width - 1]), 1);
    },
    { name: 'validation', donate: false },
  );
}
