import { type NamedTensorMap, registerGradient, type Tensor, engine as tfjs } from '@tensorflow/tfjs-core';

/** A tfjs backend that may have a fused kernel for causal attention on shapes [B, T, H, D] and [B, T, K, D]. */
interface FusingBackend {
  fusesCausalAttention?(q: readonly number[], k: readonly number[]): boolean;
}

/**
 * softmax(q·kᵀ·scale)·v of each head, where position t sees positions up to t, in one fused kernel; undefined
 * where the current backend has none for these shapes (the caller then writes it out in plain ops).
 * Query heads h·H/K … share key head h.
 * @param q [B, T, H, D]
 * @param k [B, T, K, D], K divides H; @param v the same
 * @returns [B, T, H, D]
 */
export function fusedCausalAttention(q: Tensor, k: Tensor, v: Tensor, scale: number): Tensor | undefined {
  const backend = tfjs().backend as unknown as FusingBackend;
  if (!backend.fusesCausalAttention?.(q.shape, k.shape)) return undefined;
  const inputs = { q, k, v } as unknown as NamedTensorMap;
  return (tfjs().runKernel('CausalAttention', inputs, { scale }) as Tensor[])[0]!;
}

/** The fused kernel's gradient: one more fused kernel, which recomputes the scores from their log-sums. */
export function registerAttentionGradient(): void {
  registerGradient({
    kernelName: 'CausalAttention',
    inputsToSave: ['q', 'k', 'v'],
    outputsToSave: [true, true],
    gradFunc: (dy, saved, attributes) => {
      const [q, k, v, y, logSums] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const inputs = { q, k, v, y, logSums, dy: (dy as Tensor[])[0]! } as unknown as NamedTensorMap;
      // Run here, not in the closures: tfjs runs each of those in a scope that would dispose the other results.
      const [dq, dk, dv] = tfjs().runKernel(
        'CausalAttentionGradient',
        inputs,
        attributes as { scale: number },
      ) as Tensor[];
      return { q: () => dq!, k: () => dk!, v: () => dv! };
    },
  });
}
