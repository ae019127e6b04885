import { relu } from '@tensorflow/tfjs-core';
import type { Activation } from './activation.js';

/** ReLU on the gate and on the up projection (Turbo Sparse, arXiv 2406.05955); without a gate it is ReLU. */
export const drelu: Activation = {
  name: 'drelu',
  apply: (x) => relu(x),
  onUp: true,
  exactZeros: true,
  huggingFaceName: null,
};
