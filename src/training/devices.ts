import { div, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { type Config, shapeOf } from '../config.js';
import type { Engine } from '../engine/index.js';
import { engineError } from '../errors.js';
import { parameterShapes } from '../model/parameters.js';
import {
  type AdamwOptions,
  type AdamwScalars,
  type AdamwState,
  adamwStep,
  globalNorm,
  type TensorMap,
} from './adamw.js';
import type { SplitOf } from './state-layout.js';

/**
 * Training on several devices: each computes loss and gradient of its rows of the batch, these are averaged in one
 * exchange, and every device makes the same update (or, with sharded state, its part of it).
 */

/**
 * Refuses a batch whose rows the devices cannot share.
 * @throws SparselawError (status 4)
 */
export function requireEqualShares({ devices }: Engine, { batchTokens, seqLen, accumulate }: Config): void {
  const rows = batchTokens / seqLen / accumulate;
  if (rows % devices === 0) return;
  const fitting = Array.from({ length: devices }, (_, i) => devices - i).find((n) => rows % n === 0);
  const row = seqLen * accumulate * devices;
  throw engineError(`${devices} devices cannot share the ${rows} sequences of a step equally.`, {
    code: 'uneven-batch',
    suggestions: [`--devices ${fitting}`, `--batch-tokens ${Math.ceil(batchTokens / row) * row}`],
  });
}

/**
 * How the moments are divided (ZeRO-1, arXiv 1910.02054 §5.1): along each parameter's first axis that the devices
 * can share equally; a parameter without one stays whole everywhere. Undefined where nothing is to be divided.
 */
export function shardOf({ devices }: Engine, config: Config): SplitOf | undefined {
  if (!config.shardState || devices === 1) return undefined;
  const shapes = parameterShapes(shapeOf(config));
  return (name) => {
    const axis = shapes[name]!.findIndex((length) => length % devices === 0);
    return axis === -1 ? undefined : axis;
  };
}

/** Means over the devices, which have equally many tokens: equal to the mean over the whole batch. */
export function meanOverDevices(
  { collectives, devices }: Engine,
  local: { loss: Scalar; gradients: TensorMap },
): { loss: Scalar; gradients: TensorMap } {
  if (devices === 1) return local;
  const { loss, gradients } = collectives.sum(local);
  return {
    loss: div(loss, devices) as Scalar,
    gradients: mapped(gradients, (_, gradient) => div(gradient, devices)),
  };
}

/** `adamwStep` where each device updates its part of every parameter and then collects the others'. */
export function shardedAdamwStep(
  { collectives }: Engine,
  shard: SplitOf,
  { parameters, firstMoment, secondMoment }: AdamwState,
  gradients: TensorMap,
  scalars: AdamwScalars,
  options: AdamwOptions,
): { state: AdamwState; gradientNorm: Scalar } {
  const own = (whole: TensorMap): TensorMap =>
    mapped(whole, (name, tensor) => {
      const axis = shard(name);
      return axis === undefined ? tensor : collectives.part(tensor, axis);
    });
  const next = adamwStep(
    { parameters: own(parameters), firstMoment, secondMoment },
    own(gradients),
    scalars,
    options,
    globalNorm(gradients),
  );
  const divided = Object.keys(parameters).filter((name) => shard(name) !== undefined);
  const wholes = collectives.gather(
    divided.map((name) => next.state.parameters[name]!),
    divided.map((name) => shard(name)!),
  );
  const collected = Object.fromEntries(divided.map((name, i) => [name, wholes[i]!]));
  const state = { ...next.state, parameters: { ...next.state.parameters, ...collected } };
  return { state, gradientNorm: next.gradientNorm };
}

const mapped = (map: TensorMap, change: (name: string, tensor: Tensor) => Tensor): TensorMap =>
  Object.fromEntries(Object.entries(map).map(([name, tensor]) => [name, change(name, tensor)]));
