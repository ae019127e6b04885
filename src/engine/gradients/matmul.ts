import { getBackend, matMul, reshape, type Tensor, transpose } from '@tensorflow/tfjs-core';
import { register, sumToShape } from './shared.js';

/** The transpose of the last two axes. */
function swapped(x: Tensor): Tensor {
  const axes = x.shape.map((_, i) => i);
  const last = axes.length - 1;
  return transpose(x, [...axes.slice(0, last - 1), last, last - 1]);
}

/** op(a)·op(b). tfjs's wasm kernel is slow on batches with transposed operands: there they are copied first. */
function product(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  if (getBackend() !== 'wasm') return matMul(a, b, transposeA, transposeB);
  return matMul(transposeA ? swapped(a) : a, transposeB ? swapped(b) : b);
}

const rows = (x: Tensor): Tensor => reshape(x, [-1, x.shape.at(-1)!]);

/** Gradients of op(a)·op(b), where leading axes broadcast. */
export function registerMatMulGradients(): void {
  register('BatchMatMul', { inputsToSave: ['a', 'b'] }, (dy, saved, attributes) => {
    const [a, b] = saved as [Tensor, Tensor];
    const { transposeA, transposeB } = attributes as { transposeA: boolean; transposeB: boolean };
    return {
      a: () => {
        const gradient = transposeA ? product(b, dy, transposeB, true) : product(dy, b, false, !transposeB);
        return sumToShape(gradient, a.shape);
      },
      b: () => {
        // One matrix for a whole batch: its gradient is one product over all rows, not a sum of products.
        const flat = b.rank === 2 && a.rank > 2 && !transposeA;
        const [x, d] = flat ? [rows(a), rows(dy)] : [a, dy];
        const gradient = transposeB ? product(d, x, true, transposeA) : product(x, d, !transposeA, false);
        return sumToShape(gradient, b.shape);
      },
    };
  });
}
