import { add, erf, mul } from '@tensorflow/tfjs-core';
import type { Activation } from './activation.js';

/** x·Φ(x) with the normal distribution function itself. */
export const gelu: Activation = {
  name: 'gelu',
  apply: (x) => mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1)),
  exactZeros: false,
  huggingFaceName: 'gelu',
};
