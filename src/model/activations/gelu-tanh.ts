import { add, mul, tanh } from '@tensorflow/tfjs-core';
import type { Activation } from './activation.js';

/** The tanh approximation of GELU (Hendrycks & Gimpel, arXiv 1606.08415, §2): ½x(1 + tanh(√(2/π)(x + 0.044715x³))). */
export const geluTanh: Activation = {
  name: 'gelu_tanh',
  apply: (x) => {
    const inner = mul(mul(x, Math.sqrt(2 / Math.PI)), add(mul(mul(x, x), 0.044715), 1));
    return mul(mul(x, 0.5), add(tanh(inner), 1));
  },
  exactZeros: false,
  huggingFaceName: 'gelu_pytorch_tanh',
};
