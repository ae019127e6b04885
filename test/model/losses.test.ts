import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openCpu } from '../../src/engine/cpu.js';
import { openWasm } from '../../src/engine/wasm.js';
import { tokenLosses } from '../../src/model/transformer.js';
import { randomStream } from '../../src/random.js';

const ROWS = 5;
const VOCABULARY = 7;
const logits = randomStream(1, 'logits').normal(ROWS * VOCABULARY);
const targets = [0, 6, 3, 3, 1];

/** In float64, straight from the definition. */
function reference(values: ArrayLike<number>): number[] {
  return targets.map((target, row) => {
    const scores = Array.from({ length: VOCABULARY }, (_, i) => values[row * VOCABULARY + i]!);
    const top = Math.max(...scores);
    const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
    return Math.log(sum) + top - scores[target]!;
  });
}

beforeAll(async () => {
  await openCpu({});
  await openWasm({});
});

describe.each(['cpu', 'wasm'])('token losses on %s', (backend) => {
  beforeAll(async () => void (await tf.setBackend(backend)));
  const ids = () => tf.tensor1d(targets, 'int32');
  const losses = (values: Float32Array) =>
    tokenLosses(tf.tensor2d(values, [ROWS, VOCABULARY]), ids()).dataSync();

  it('are −log softmax at the target', () => {
    const expected = reference(logits);
    for (const [row, loss] of losses(logits).entries()) expect(loss).toBeCloseTo(expected[row]!, 5);
  });

  it('stay finite for scores whose exponentials are not', () => {
    const large = logits.map((value, i) => value + 1000 * (i % 3) - 500);
    const expected = reference(large);
    for (const [row, loss] of losses(large).entries())
      expect(Math.abs(loss / expected[row]! - 1)).toBeLessThan(1e-6);
  });

  it('weigh each row with its own upstream gradient', () => {
    const weights = [1, -2, 0, 0.5, 3];
    const gradient = tf
      .grad((x) => tf.sum(tf.mul(tokenLosses(x as tf.Tensor2D, ids()), tf.tensor1d(weights))))(
        tf.tensor2d(logits, [ROWS, VOCABULARY]),
      )
      .dataSync();
    const objective = (values: Float64Array) =>
      reference(values).reduce((total, loss, row) => total + weights[row]! * loss, 0);
    for (const [i, value] of gradient.entries()) {
      const [above, below] = [1e-5, -1e-5].map((step) =>
        objective(Float64Array.from(logits, (x, j) => (i === j ? x + step : x))),
      );
      expect(Math.abs(value - (above! - below!) / 2e-5)).toBeLessThan(1e-5);
    }
  });
});
