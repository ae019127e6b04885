import { registerAttentionGradient } from './attention.js';
import { registerBinaryGradients } from './gradients/binary.js';
import { registerIndexingGradients } from './gradients/indexing.js';
import { registerMatMulGradients } from './gradients/matmul.js';
import { registerReduceGradients } from './gradients/reduce.js';
import { registerShapeGradients } from './gradients/shape.js';
import { registerUnaryGradients } from './gradients/unary.js';

let registered = false;

/**
 * Registers the gradients of tfjs's kernels, once a process. tfjs-core's Node build leaves its own out, and some
 * of those are slow (Sum and Mean write a host array of ones) or fail on a backend (gather on wasm). The table is
 * global, so every gradient here is right on every backend.
 */
export function registerGradients(): void {
  if (registered) return;
  registered = true;
  registerUnaryGradients();
  registerBinaryGradients();
  registerMatMulGradients();
  registerReduceGradients();
  registerShapeGradients();
  registerIndexingGradients();
  registerAttentionGradient();
}
