import { relu, square } from '@tensorflow/tfjs-core';
import type { Activation } from './activation.js';

/** max(x, 0)² (Primer, arXiv 2109.08668). */
export const relu2: Activation = {
  name: 'relu2',
  apply: (x) => square(relu(x)),
  exactZeros: true,
  huggingFaceName: 'relu2',
};
