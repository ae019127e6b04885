import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import type { Engine, EngineOptions } from '../../src/engine/index.js';

const host = (values: number[]) => ({
  dtype: 'float32' as const,
  shape: [values.length],
  values: Float32Array.from(values),
});

/** Registers what holds for every engine that runs op by op. */
export function testEagerEngine(open: (options: EngineOptions) => Promise<Engine>): void {
  it('keeps results, frees temporaries and consumes donated state', async () => {
    const engine = await open({});
    const before = engine.memory().liveTensors;
    const step = engine.compile(
      (state: { w: tf.Tensor }, input: tf.Tensor) => {
        const loss = () => tf.sum(tf.square(tf.sub(state.w, input))) as tf.Scalar;
        const gradient = tf.grad((w) => tf.sum(tf.square(tf.sub(w, input))))(state.w);
        return { state: { w: tf.sub(state.w, tf.mul(gradient, 0.25)) }, loss: loss() };
      },
      { name: 'step', donate: true },
    );
    const input = engine.upload(host([1, 2, 3]));
    let state = { w: engine.upload(host([0, 0, 0])) };
    for (let i = 0; i < 5; i++) {
      const result = await step.run(state, input);
      expect(state.w.isDisposed).toBe(true);
      expect(engine.memory().liveTensors).toBe(before + 3);
      expect((await result.loss.data())[0]).toBeCloseTo(14 / 4 ** i, 5);
      result.loss.dispose();
      state = result.state;
    }
    input.dispose();
    state.w.dispose();
    expect(engine.memory().liveTensors).toBe(before);
  });

  it('gives the caller results of its own, also when the function returns its arguments', async () => {
    const engine = await open({});
    const before = engine.memory().liveTensors;
    const same = engine.compile((a: tf.Tensor, b: tf.Tensor) => [a, b, b], { name: 'same', donate: true });
    const [a, b] = [engine.upload(host([1])), engine.upload(host([2]))];
    const results = await same.run(a, b);
    expect(a.isDisposed).toBe(true);
    expect(b.isDisposed).toBe(false);
    expect(results.map((t) => t.dataSync()[0])).toEqual([1, 2, 2]);
    for (const t of results) t.dispose();
    b.dispose();
    expect(engine.memory().liveTensors).toBe(before);
  });

  it('folds over the leading axis', async () => {
    const engine = await open({});
    const before = engine.memory().liveTensors;
    const program = engine.compile(
      (carry: tf.Tensor, rows: { x: tf.Tensor }) =>
        engine.fold(
          ({ sum, last }: { sum: tf.Tensor; last: tf.Tensor }, { x }: { x: tf.Tensor }) => ({
            sum: tf.add(sum, tf.mul(x, last)),
            last: x,
          }),
          { sum: carry, last: tf.onesLike(carry) },
          rows,
        ),
      { name: 'fold' },
    );
    const carry = engine.upload({ dtype: 'float32', shape: [], values: Float32Array.of(10) });
    const x = engine.upload(host([1, 2, 3]));
    const result = await program.run(carry, { x });
    expect(result.sum.dataSync()[0]).toBe(10 + 1 + 2 + 6);
    expect(result.last.dataSync()[0]).toBe(3);
    expect(engine.memory().liveTensors).toBe(before + 4);
    for (const t of [carry, x, result.sum, result.last]) t.dispose();
    expect(engine.memory().liveTensors).toBe(before);
  });

  it('copies what it uploads', async () => {
    const engine = await open({});
    const values = Float32Array.of(1, 2, 3);
    const tensor = engine.upload({ dtype: 'float32', shape: [3], values });
    values.fill(0);
    expect([...(await tensor.data())]).toEqual([1, 2, 3]);
    const doubled = tf.mul(tensor, 2);
    expect([...(await doubled.data())]).toEqual([2, 4, 6]);
    tf.dispose([tensor, doubled]);
  });
}
