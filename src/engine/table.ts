import { type Tensor, engine as tfjs } from '@tensorflow/tfjs-core';

/** A tfjs backend whose compiler may compute a table again wherever it is read. */
interface RepeatingBackend {
  readonly repeatsTables?: boolean;
}

/**
 * A small table that many larger values read, computed once: where the compiler would repeat its arithmetic for each
 * element that reads it (XLA on a processor: cosines of positions, 3.7 % of a training step), it is told not to.
 * Has no gradient.
 */
export function computedOnce(table: Tensor): Tensor {
  const backend = tfjs().backend as unknown as RepeatingBackend;
  return backend.repeatsTables ? (tfjs().runKernel('ComputedOnce', { x: table }) as Tensor) : table;
}
