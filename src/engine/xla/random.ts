import { type Tensor, engine as tfjs } from '@tensorflow/tfjs-core';

/**
 * Random values drawn inside a compiled function.
 * @param state int32[4]: key low and high, counter low and high words; the caller advances the counter by one for
 *   each two values drawn. The same state as a `RandomStream` of src/random.ts gives the same numbers.
 */
type Draw = (state: Tensor, shape: readonly number[]) => Tensor;

const draw =
  (kernel: string): Draw =>
  (state, shape) =>
    tfjs().runKernel(kernel, { state }, { shape: [...shape] }) as Tensor;

/** Values in [0, 1), multiples of 2⁻²⁴: equal to `RandomStream.uniform`. */
export const threefryUniform: Draw = draw('ThreefryUniform');

/** Standard normal values: `RandomStream.normal` to float32's precision. */
export const threefryNormal: Draw = draw('ThreefryNormal');
