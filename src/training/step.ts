import {
  add,
  clone,
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
import { meanOverDevices, shardedAdamwStep, shardOf } from './devices.js';
import { flatLayout, type SplitOf, type StateLayout, separateLayout } from './state-layout.js';

export interface StepInput {
  readonly [key: string]: Tensor;
  /** [accumulate, rows, seqLen + 1] int32; rows are split over the devices. */
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

/** The layout of the state that suits an engine. */
export function layoutFor(engine: Engine, config: Config): StateLayout {
  const layout = engine.prefersFewOps ? flatLayout : separateLayout;
  return layout(parameterShapes(shapeOf(config)), adamwOptions(config));
}

/**
 * One optimiser step as one program: forward, backward, accumulation, clipping and AdamW together.
 * Its state is laid out as `layoutFor` says. Each device takes its rows; the gradients meet once a step.
 */
export function compileStep(engine: Engine, config: Config): Program<AdamwState, StepInput, StepResult> {
  const shape = shapeOf(config);
  const layout = layoutFor(engine, config);
  const shard = shardOf(engine, config);
  const step = (state: AdamwState, { tokens, scalars }: StepInput): StepResult => {
    const { loss, gradients } = meanOverDevices(
      engine,
      accumulated(engine, shape, layout, state.parameters, tokens),
    );
    const at = (index: number) => reshape(slice(scalars, [index], [1]), []);
    const rates = { learningRate: at(0), firstCorrection: at(1), secondCorrection: at(2) };
    const next = shard
      ? shardedAdamwStep(engine, shard, state, gradients, rates, layout.optimiser)
      : adamwStep(state, gradients, rates, layout.optimiser);
    return { state: next.state, metrics: stack([loss, next.gradientNorm]) };
  };
  return engine.compile(step, {
    name: 'train-step',
    donate: true,
    splitResults: momentSplits(shard),
  });
}

/** How the moments among a program's results lie on the devices, by their paths. */
const momentSplits =
  (shard: SplitOf | undefined) =>
  (path: string): number | undefined => {
    const moment = /(?:^|\.)(?:first|second)Moment\.(.*)$/.exec(path)?.[1];
    return moment === undefined ? undefined : shard?.(moment);
  };

/** Copies the state on its device: steps may go on with the one while the other is read. */
export function compileSnapshot(engine: Engine, config: Config): Program<AdamwState, [], AdamwState> {
  const copies = (map: TensorMap): TensorMap =>
    Object.fromEntries(Object.entries(map).map(([name, tensor]) => [name, clone(tensor)]));
  return engine.compile(
    ({ parameters, firstMoment, secondMoment }: AdamwState): AdamwState => ({
      parameters: copies(parameters),
      firstMoment: copies(firstMoment),
      secondMoment: copies(secondMoment),
    }),
    { name: 'snapshot', splitResults: momentSplits(shardOf(engine, config)) },
  );
}

/**
 * Loss and gradient, laid out as the state. Means over micro-batches, which have equally many tokens: equal to the
 * mean over the whole batch.
 */
function accumulated(
  engine: Engine,
  shape: ModelShape,
  layout: StateLayout,
  state: TensorMap,
  tokens: Tensor,
): { loss: Scalar; gradients: TensorMap } {
  const [count, rows, width] = tokens.shape as [number, number, number];
  const parameters = layout.parametersOf(state);
  const ofRows = (some: Tensor) => {
    const { loss, gradients } = lossAndGradients(shape, parameters, some);
    return { loss, gradients: layout.layOut(gradients) };
  };
  if (count === 1) return ofRows(reshape(tokens, [rows, width]));
  type Sums = { loss: Tensor; gradients: TensorMap };
  const mapped = (map: (name: string) => Tensor): TensorMap =>
    Object.fromEntries(Object.keys(state).map((name) => [name, map(name)]));
  const sums = engine.fold<Sums, { rows: Tensor }>(
    (carry, input) => {
      const { loss, gradients } = ofRows(input.rows);
      return {
        loss: add(carry.loss, loss),
        gradients: mapped((name) => add(carry.gradients[name]!, gradients[name]!)),
      };
    },
    { loss: scalar(0), gradients: mapped((name) => zerosLike(state[name]!)) },
    { rows: tokens },
  );
  return {
    loss: div(sums.loss, count) as Scalar,
    gradients: mapped((name) => div(sums.gradients[name]!, count)),
  };
}

export type ValidationInput = { readonly rows: Tensor };

/** Summed loss of each row, [rows] nats: summed further in double on the host. Takes the state's parameters. */
export function compileValidation(
  engine: Engine,
  config: Config,
): Program<TensorMap, ValidationInput, Tensor> {
  const shape = shapeOf(config);
  const layout = layoutFor(engine, config);
  return engine.compile(
    (state: TensorMap, { rows }: ValidationInput): Tensor => {
      const [count, width] = rows.shape as [number, number];
      return sum(reshape(rowLosses(shape, layout.parametersOf(state), rows), [count, width - 1]), 1);
    },
    { name: 'validation', donate: false, splitResults: () => 0 },
  );
}
