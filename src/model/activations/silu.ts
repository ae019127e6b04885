import { mul, sigmoid } from '@tensorflow/tfjs-core';
import type { Activation } from './activation.js';

/** x·σ(x), also called swish. */
export const silu: Activation = {
  name: 'silu',
  apply: (x) => mul(x, sigmoid(x)),
  exactZeros: false,
  huggingFaceName: 'silu',
};
