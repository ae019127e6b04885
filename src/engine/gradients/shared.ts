import {
  broadcast_util,
  cast,
  type GradConfig,
  getBackend,
  getKernel,
  type NamedTensorMap,
  registerGradient,
  reshape,
  sum,
  type Tensor,
  engine as tfjs,
  zerosLike,
} from '@tensorflow/tfjs-core';

/** One output's gradient dy and the saved tensors → one function per input name. */
type GradientOf = (
  dy: Tensor,
  saved: Tensor[],
  attributes: Record<string, unknown>,
) => Record<string, () => Tensor>;

type Saved = Pick<GradConfig, 'inputsToSave' | 'outputsToSave' | 'saveAllInputs'>;

/** Registers the gradient of a kernel with one output, replacing an earlier one. */
export function register(kernelName: string, saved: Saved, gradient: GradientOf): void {
  registerGradient({
    kernelName,
    ...saved,
    gradFunc: (dy, tensors, attributes) => gradient(dy as Tensor, tensors, attributes),
  });
}

/** Kernels that are constant almost everywhere: the gradient of each named input is 0. */
export function registerFlat(kernelNames: readonly string[], inputs: readonly string[]): void {
  for (const kernelName of kernelNames) {
    register(kernelName, { inputsToSave: [...inputs] }, (_dy, saved) =>
      Object.fromEntries(inputs.map((name, i) => [name, () => zerosLike(cast(saved[i]!, 'float32'))])),
    );
  }
}

/** Undoes broadcasting: sums `gradient` over the axes along which `shape` was repeated. */
export function sumToShape(gradient: Tensor, shape: readonly number[]): Tensor {
  const axes = broadcast_util.getReductionAxes([...shape], gradient.shape);
  return reshape(axes.length > 0 ? sum(gradient, axes) : gradient, [...shape]);
}

/** A gradient that the current backend has as one kernel; undefined where it has not. */
export function single(kernelName: string, a: Tensor, b: Tensor): Tensor | undefined {
  if (!getKernel(kernelName, getBackend())) return undefined;
  return (tfjs().runKernel(kernelName, { a, b } as unknown as NamedTensorMap) as Tensor[])[0];
}
