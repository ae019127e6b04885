import {
  matMul,
  mean,
  mul,
  relu,
  type Scalar,
  softmax,
  sub,
  sum,
  type Tensor,
  valueAndGrads,
} from '@tensorflow/tfjs-core';
import { type Engine, openEngine } from '../engine/index.js';
import { disposeTree } from '../engine/tree.js';
import { randomStream } from '../random.js';

const SIZE = 32;

/** A small piece of everything training does: matrix products, a nonlinearity, a softmax, and their gradients. */
function probe(state: { a: Tensor; b: Tensor }): { loss: Tensor; da: Tensor; db: Tensor } {
  const loss = (a: Tensor, b: Tensor) => {
    const hidden = relu(matMul(a, b));
    const shares = softmax(matMul(hidden, b, false, true));
    return sum(mul(sub(shares, mean(shares)), a)) as Scalar;
  };
  const { value, grads } = valueAndGrads(loss as (...args: Tensor[]) => Scalar)([state.a, state.b]);
  return { loss: value, da: grads[0]!, db: grads[1]! };
}

/** The probe's results on one engine: loss, then both gradients. */
export async function runProbe(engine: Engine): Promise<Float32Array> {
  const stream = randomStream(0, 'doctor');
  const draw = () =>
    engine.upload({ dtype: 'float32', shape: [SIZE, SIZE], values: stream.normal(SIZE * SIZE) });
  const state = { a: draw(), b: draw() };
  const program = engine.compile(probe, { name: 'doctor-probe' });
  const result = await program.run(state, []);
  const parts = await Promise.all([result.loss.data(), result.da.data(), result.db.data()]);
  disposeTree([state, result]);
  program.dispose();
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

/** Largest difference of the probe between an engine and tfjs's plain `cpu`, relative to the largest value. */
export async function parityWithReference(engine: Engine): Promise<number> {
  const reference = await openEngine('cpu');
  const expected = await runProbe(reference);
  const actual = await runProbe(engine);
  await reference.close();
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0) / scale;
}
