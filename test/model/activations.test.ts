import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
/** x, then each activation's value: torch.nn.functional in float64 (see fixtures/parity/README.md). */
import reference from '../../fixtures/parity/activations.json' with { type: 'json' };
import { openCpu } from '../../src/engine/cpu.js';
import { openWasm } from '../../src/engine/wasm.js';
import { ACTIVATION_NAMES, ACTIVATIONS, type ActivationName } from '../../src/model/activations/index.js';

beforeAll(async () => {
  await openCpu({});
  await openWasm({});
});

describe.each(['cpu', 'wasm'])('on %s', (backend) => {
  beforeAll(async () => void (await tf.setBackend(backend)));

  describe.each(ACTIVATION_NAMES)('%s', (name: ActivationName) => {
    const { apply, exactZeros } = ACTIVATIONS[name];
    const evaluate = (x: readonly number[]) => apply(tf.tensor1d([...x])).dataSync();

    it('has the values of PyTorch', () => {
      const values = evaluate(reference.x);
      for (const [i, expected] of reference[name].entries())
        expect(Math.abs(values[i]! - expected), `at ${reference.x[i]}`).toBeLessThan(
          1e-6 * Math.max(1, Math.abs(expected)),
        );
    });

    it('has the gradient of its finite differences', () => {
      // Away from 0, where the rectified ones have a corner; float64 differences would need another backend.
      const points = reference.x.filter((x) => Math.abs(x) > 0.05 && Math.abs(x) < 5);
      const gradient = tf
        .grad((x) => apply(x))(tf.tensor1d(points))
        .dataSync();
      const h = 1 / 64;
      const [far, near] = [2 * h, h].map((step) => {
        const above = evaluate(points.map((x) => x + step));
        const below = evaluate(points.map((x) => x - step));
        return points.map((_, i) => (above[i]! - below[i]!) / (2 * step));
      });
      // Richardson: the error of the two central differences falls from h² to h⁴.
      for (const [i, x] of points.entries())
        expect(Math.abs(gradient[i]! - (4 * near![i]! - far![i]!) / 3), `at ${x}`).toBeLessThan(5e-5);
    });

    it('is exactly 0 for negative inputs when it says so, with no gradient at 0', () => {
      const negative = evaluate([-0.01, -1, -20]);
      expect(negative.every((value) => value === 0)).toBe(exactZeros);
      if (!exactZeros) return;
      expect(
        tf
          .grad((x) => apply(x))(tf.tensor1d([0, -1]))
          .dataSync(),
      ).toEqual(Float32Array.of(0, 0));
    });
  });
});
