import {
  add,
  addN,
  div,
  minimum,
  mul,
  type Scalar,
  scalar,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
} from '@tensorflow/tfjs-core';

/** Tensors by parameter name. */
export type TensorMap = Readonly<Record<string, Tensor>>;

/** What AdamW carries from step to step; all maps have the same names and shapes. */
export interface AdamwState {
  readonly [key: string]: TensorMap;
  readonly parameters: TensorMap;
  /** Running mean of the gradient. */
  readonly firstMoment: TensorMap;
  /** Running mean of its square. */
  readonly secondMoment: TensorMap;
}

/** What is fixed for a run, compiled into the step. */
export interface AdamwOptions {
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
  /** Largest global norm of the gradient; 0 for no clipping. */
  clip: number;
  /** Whether a parameter decays. */
  decays(name: string): boolean;
  /** Factor on the learning rate of a parameter (μP groups); 1 for none. */
  learningRateFactor(name: string): number;
}

/** What changes each step: scalars computed on the host in double. */
export interface AdamwScalars {
  learningRate: Tensor;
  /** 1 / (1 − β₁ᵗ) */
  firstCorrection: Tensor;
  /** 1 / (1 − β₂ᵗ) */
  secondCorrection: Tensor;
}

/** The values of a step's scalars; `step` counts from 1. */
export function biasCorrections(
  step: number,
  { beta1, beta2 }: Pick<AdamwOptions, 'beta1' | 'beta2'>,
): { firstCorrection: number; secondCorrection: number } {
  return { firstCorrection: 1 / (1 - beta1 ** step), secondCorrection: 1 / (1 - beta2 ** step) };
}

/** √Σg² over all tensors: a scalar. */
export function globalNorm(gradients: TensorMap): Scalar {
  return sqrt(addN(Object.values(gradients).map((gradient) => sum(square(gradient))))) as Scalar;
}

/** As in PyTorch's `clip_grad_norm_`, so that a gradient of norm 0 divides nothing by 0. */
const CLIP_EPSILON = 1e-6;

/**
 * One step of AdamW with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101, algorithm 2; PyTorch's
 * form: the decay is multiplied by the learning rate), the gradient clipped by global norm first.
 * Pure: the new state beside the old. Fused by a tracing engine into one pass over each tensor.
 * @param gradientNorm √Σg² of the whole gradient, where `state` and `gradients` are a part of it
 * @returns the state and the gradient's norm before clipping
 */
export function adamwStep(
  state: AdamwState,
  gradients: TensorMap,
  { learningRate, firstCorrection, secondCorrection }: AdamwScalars,
  options: AdamwOptions,
  gradientNorm: Scalar = globalNorm(gradients),
): { state: AdamwState; gradientNorm: Scalar } {
  const { beta1, beta2, epsilon, weightDecay, clip } = options;
  const scale = clip > 0 ? minimum(div(scalar(clip), add(gradientNorm, CLIP_EPSILON)), 1) : null;
  const next: Record<'parameters' | 'firstMoment' | 'secondMoment', Record<string, Tensor>> = {
    parameters: {},
    firstMoment: {},
    secondMoment: {},
  };
  for (const [name, parameter] of Object.entries(state.parameters)) {
    const gradient = scale ? mul(gradients[name]!, scale) : gradients[name]!;
    const first = add(mul(state.firstMoment[name]!, beta1), mul(gradient, 1 - beta1));
    const second = add(mul(state.secondMoment[name]!, beta2), mul(square(gradient), 1 - beta2));
    const factor = options.learningRateFactor(name);
    const rate = factor === 1 ? learningRate : mul(learningRate, factor);
    const denominator = add(sqrt(mul(second, secondCorrection)), epsilon);
    const update = div(mul(first, firstCorrection), denominator);
    const decay = options.decays(name) ? weightDecay : 0;
    const kept = decay > 0 ? mul(parameter, sub(1, mul(rate, decay))) : parameter;
    next.parameters[name] = sub(kept, mul(update, rate));
    next.firstMoment[name] = first;
    next.secondMoment[name] = second;
  }
  return { state: next, gradientNorm };
}
