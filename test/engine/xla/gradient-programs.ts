import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { expect } from 'vitest';
import { BACKEND, type XlaBackend } from '../../../src/engine/xla/backend.js';
import { xlaEngine } from '../../../src/engine/xla/index.js';
import type { PjrtClient } from '../../../src/engine/xla/pjrt/index.js';
import { allNodes, toBfloat16 } from '../../../src/engine/xla/precision.js';
import type { GraphProgram } from '../../../src/engine/xla/rebuild.js';
import { trace } from '../../../src/engine/xla/trace.js';
import { sizeOf } from '../../../src/engine/xla/types.js';
import { evaluate } from './evaluate.js';
import { draws } from './kernel-programs.js';

/** Programs of differentiated functions in bfloat16, traced without a device, and compared on plain arrays. */

let backend: XlaBackend | undefined;
async function tracer(): Promise<XlaBackend> {
  if (backend) return backend;
  await tf.setBackend('cpu');
  // Nothing is compiled: a client that has no device will do.
  xlaEngine({ platform: 'cuda', deviceCount: 1, plugin: {}, deviceAttributes: {} } as PjrtClient, {});
  backend = tf.engine().findBackend(BACKEND) as unknown as XlaBackend;
  return backend;
}

/** Value, squares of all gradients, and gradients of a function of an operand and weights; the mean of its square is differentiated. */
export async function gradientProgram(
  shapes: readonly (readonly number[])[],
  value: (x: tf.Tensor, ...weights: tf.Tensor[]) => tf.Tensor | tf.Tensor[],
): Promise<GraphProgram> {
  const leaves = shapes.map((shape, i) => ({ path: `p${i}`, type: { element: 'f32' as const, shape } }));
  const traced = trace(
    await tracer(),
    'gradients',
    (tensors: tf.Tensor[]) => {
      const [x, ...weights] = tensors;
      const others: tf.Tensor[] = [];
      const { value: loss, grads } = tf.valueAndGrads((...given: tf.Tensor[]) => {
        const [out, ...more] = [value(x!, ...given)].flat();
        others.push(...more.map((each) => tf.keep(each)));
        return tf.mean(tf.square(out!)) as tf.Scalar;
      })(weights);
      const squares = grads.map((grad) => tf.sum(tf.square(grad))).reduce((a, b) => tf.add(a, b));
      return [loss, squares, ...grads, ...others];
    },
    [shapes.map((shape) => tf.zeros([...shape]))],
    leaves,
  );
  return toBfloat16({
    parameters: traced.parameters.map(({ node }) => node),
    results: traced.results.map(({ node }) => node),
  });
}

export const nodesOf = ({ parameters, results }: GraphProgram) => allNodes([...parameters, ...results]);
export const counts = (of: GraphProgram) => {
  const ops = nodesOf(of).map(({ operation }) => operation.op);
  return {
    calls: ops.filter((op) => op === 'custom_call').length,
    products: ops.filter((op) => op === 'dot_general').length,
  };
};

function operandsOf({ parameters }: GraphProgram, draw: 'ordinary values' | 'infinities and NaN') {
  return parameters.map(({ type }, i) => {
    const values = draws(sizeOf(type.shape), i === 0 ? draw : 'ordinary values', 'f32', i);
    return i === 0 ? values : values.map((x) => x / 2);
  });
}

/** How far results are off, as a share of the largest number of each. */
export function expectEqual(
  own: GraphProgram,
  plain: GraphProgram,
  draw: 'ordinary values' | 'infinities and NaN',
) {
  const operands = operandsOf(plain, draw);
  const [actual, expected] = [own, plain].map(({ results }) => evaluate(results, operands));
  for (const [i, wanted] of expected!.entries()) {
    const largest = wanted.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0);
    expect(actual![i]!.length).toBe(wanted.length);
    for (const [k, want] of wanted.entries()) {
      const got = actual![i]![k]!;
      const near = Number.isFinite(want) ? Math.abs(got - want) <= 2 ** -7 * largest : Object.is(got, want);
      if (!near) expect([i, k, got]).toEqual([i, k, want]);
    }
    if (draw === 'ordinary values') expect(largest).toBeGreaterThan(0);
  }
}
