import * as tf from '@tensorflow/tfjs-core';
import { fusedCausalAttention } from '../../../src/engine/attention.js';
import { findPlugin } from '../../../src/engine/install/index.js';
import { BACKEND, type XlaBackend } from '../../../src/engine/xla/backend.js';
import { openPlugin } from '../../../src/engine/xla/open.js';
import { createProgram } from '../../../src/engine/xla/program.js';
import { TEST_DEVICE } from './with-xla.js';

type Heads = { readonly q: tf.Tensor; readonly k: tf.Tensor; readonly v: tf.Tensor };

/** Gradients of fused attention, compiled on the CPU plugin as if the device had the kernel. */
export async function compileWithFusions(onText: (text: string) => void = () => {}): Promise<void> {
  const client = await openPlugin(await findPlugin(TEST_DEVICE));
  try {
    const backend = tf.engine().findBackend(BACKEND) as unknown as XlaBackend;
    const context = {
      ...{
        backend,
        client,
        devices: 1,
        precision: 'bfloat16' as const,
        fusions: { causalAttention: () => true },
      },
      onText: async (_name: string, text: string) => onText(text),
    };
    const program = createProgram(
      context,
      ({ q, k, v }: Heads) => {
        const loss = (...[a, b, c]: tf.Tensor[]) =>
          tf.sum(fusedCausalAttention(a!, b!, c!, 0.25)!) as tf.Scalar;
        return tf.grads(loss as (...args: tf.Tensor[]) => tf.Scalar)([q, k, v]);
      },
      { name: 'fused' },
    );
    const zeros = (heads: number) => tf.zeros([2, 16, heads, 16]);
    await program.run({ q: zeros(4), k: zeros(2), v: zeros(2) }, []);
  } finally {
    await client.close();
  }
}
