import { relu as rectify } from '@tensorflow/tfjs-core';
import type { Activation } from './activation.js';

/** max(x, 0); its gradient at 0 is 0. */
export const relu: Activation = {
  name: 'relu',
  apply: (x) => rectify(x),
  exactZeros: true,
  huggingFaceName: 'relu',
};
