import '@tensorflow/tfjs-backend-cpu';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { benchmarkStep } from '../../../src/engine/bench-step.js';
import type { Engine, TensorTree } from '../../../src/engine/index.js';
import { disposeTree } from '../../../src/engine/tree.js';
import { threefryNormal, threefryUniform } from '../../../src/engine/xla/random.js';
import { randomStream } from '../../../src/random.js';
import { openTestXla, TEST_DEVICE, WITHOUT_PLUGIN } from './with-xla.js';

let engine: Engine;
let dumps: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  dumps = await mkdtemp(join(tmpdir(), 'programs-'));
  if (!WITHOUT_PLUGIN) engine = await openTestXla({ dumpProgramDir: dumps });
});
afterAll(async () => {
  await engine?.close();
  await rm(dumps, { recursive: true });
});

const upload = (values: number[], shape = [values.length]) =>
  engine.upload({ dtype: 'float32', shape, values: Float32Array.from(values) });

type Vector = { readonly x: tf.Tensor };

/** Compiles and runs once on one vector. */
async function run(fn: (x: tf.Tensor) => tf.Tensor, values = [1, 2, 3]): Promise<number[]> {
  const x = upload(values);
  const program = engine.compile((_: TensorTree, input: Vector) => fn(input.x), { name: 'test' });
  try {
    const y = await program.run([], { x });
    const result = Array.from(await y.data());
    y.dispose();
    return result;
  } finally {
    x.dispose();
    program.dispose();
  }
}

describe.skipIf(WITHOUT_PLUGIN)('the XLA engine', () => {
  const donating = (name: string) =>
    engine.compile(({ x }: Vector, { by }: { by: tf.Tensor }) => ({ x: tf.add(x, by) }), {
      name,
      donate: true,
    });

  it('consumes a donated state and leaves nothing behind', async () => {
    const before = engine.memory().liveTensors;
    const program = donating('donating');
    const by = upload([1], []);
    let state: Vector = { x: upload([1, 2]) };
    for (let i = 0; i < 3; i++) {
      const old = state;
      state = await program.run(state, { by });
      expect(old.x.isDisposed).toBe(true);
      await expect(program.run(old, { by })).rejects.toThrow(/state\.x was disposed/);
    }
    expect(Array.from(await state.x.data())).toEqual([4, 5]);
    tf.dispose([by, state.x]);
    expect(engine.memory().liveTensors).toBe(before);
  });

  describe('a state that goes from run to run', () => {
    type State = { readonly a: Vector; readonly n: tf.Tensor };
    const advance = ({ a, n }: State, { x: by }: Vector) => ({
      state: { a: { x: tf.add(a.x, by) }, n: tf.add(n, 1) },
      sum: tf.sum(a.x),
    });
    const start = (): State => ({ a: { x: upload([1, 2]) }, n: upload([0], []) });
    const open = () => ({
      program: engine.compile(advance, { name: 'carrying', donate: true }),
      by: upload([1], []),
      before: engine.memory().liveTensors,
    });

    it('makes no tensors until somebody looks, and the same values', async () => {
      const { program, by, before } = open();
      let state = start();
      const tensors = tf.memory().numTensors;
      for (let step = 0; step < 3; step++) {
        const result = await program.run(state, { x: by });
        ({ state } = result);
        // The first run consumed the two uploaded ones; since then there is the sum alone.
        expect(tf.memory().numTensors).toBe(tensors - 1);
        expect(engine.memory().liveTensors).toBe(before + 3);
        expect(Array.from(await result.sum.data())).toEqual([3 + 2 * step]);
        result.sum.dispose();
      }
      expect(Object.keys(state)).toEqual(['a', 'n']);
      expect(Array.from(await state.a.x.data())).toEqual([4, 5]);
      expect(tf.memory().numTensors).toBe(tensors);
      disposeTree([state, by]);
      expect(engine.memory().liveTensors).toBe(before - 1);
      program.dispose();
    });

    it('may be looked at between two runs, also in a scope, and by another program', async () => {
      const { program, by, before } = open();
      const other = engine.compile((of: State) => tf.sum(of.a.x), { name: 'looking' });
      const first = await program.run(start(), { x: by });
      const shape = tf.tidy(() => {
        const { n } = first.state;
        return n.shape.slice() as never;
      });
      expect(shape).toEqual([]);
      const seen = await other.run(first.state, []);
      expect(Array.from(await seen.data())).toEqual([5]);
      const second = await program.run(first.state, { x: by });
      expect(first.state.a.x.isDisposed).toBe(true);
      expect(Array.from(await second.state.a.x.data())).toEqual([3, 4]);
      expect(Array.from(await second.state.n.data())).toEqual([2]);
      disposeTree([second.state, first.sum, second.sum, seen, by]);
      expect(engine.memory().liveTensors).toBe(before - 1);
      program.dispose();
      other.dispose();
    });

    it('is consumed like any other', async () => {
      const { program, by, before } = open();
      const first = await program.run(start(), { x: by });
      const second = await program.run(first.state, { x: by });
      await expect(program.run(first.state, { x: by })).rejects.toThrow(/state\.a\.x was disposed/);
      expect(first.state.a.x.isDisposed).toBe(true);
      // Two runs at once: one of them gets it. On the processor the first is queued before the second begins.
      const runs = await Promise.allSettled([
        program.run(second.state, { x: by }),
        program.run(second.state, { x: by }),
      ]);
      expect(runs.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
      expect(String((runs[1] as PromiseRejectedResult).reason)).toMatch(
        TEST_DEVICE === 'cpu' ? /state\.a\.x was disposed before/ : /input 0 was disposed or donated/,
      );
      const { value: third } = runs[0] as PromiseFulfilledResult<typeof second>;
      // A leaf of it may not be an input as well.
      await expect(program.run(third.state, { x: third.state.n })).rejects.toThrow(
        /is another input as well/,
      );
      disposeTree([third, first.sum, second.sum, by]);
      expect(engine.memory().liveTensors).toBe(before - 1);
      program.dispose();
    });
  });

  it('names the leaf whose shape or dtype changed', async () => {
    const program = engine.compile((_: TensorTree, { x }: Vector) => tf.neg(x), { name: 'fixed' });
    const [two, three] = [upload([1, 2]), upload([1, 2, 3])];
    (await program.run([], { x: two })).dispose();
    await expect(program.run([], { x: three })).rejects.toThrow(
      'fixed was compiled for input.x of f32[2] and is run with f32[3].',
    );
    const whole = engine.upload({ dtype: 'int32', shape: [2], values: Int32Array.of(1, 2) });
    await expect(program.run([], { x: whole })).rejects.toThrow(/is run with i32\[2\]/);
    tf.dispose([two, three, whole]);
  });

  it.each<[string, (x: tf.Tensor) => tf.Tensor, RegExp | string]>([
    [
      'reading a value',
      (x) => tf.mul(x, tf.neg(x).dataSync()[0]!),
      /value of a traced tensor \(f32\[3\], from negate\)/,
    ],
    [
      'host randomness',
      (x) => tf.add(x, tf.randomUniform([3])),
      /tf\.randomUniform draws its numbers on the host/,
    ],
    ['dropout', (x) => tf.dropout(x, 0.5), /draws its numbers on the host/],
    ['a variable', (x) => tf.variable(x), /variable was created or assigned/],
    [
      'an unknown kernel',
      (_x) => tf.depthToSpace(tf.ones([1, 1, 1, 4]) as tf.Tensor4D, 2),
      'test uses the tfjs kernel DepthToSpace, which the engine xla does not have.',
    ],
    [
      'several unknown kernels at once',
      (x) => {
        const image = tf.reshape(tf.tile(x, [4]), [1, 2, 2, 3]) as tf.Tensor4D;
        const wide = tf.conv2d(image, tf.ones([1, 1, 3, 8]) as tf.Tensor4D, 1, 'same');
        const { values } = tf.unique(tf.reshape(tf.depthToSpace(wide, 2), [-1]));
        const narrow = tf.conv2d(image, tf.ones([2, 2, 3, 1]) as tf.Tensor4D, 1, 'same');
        return tf.add(tf.sum(narrow), tf.sum(values));
      },
      'test uses the tfjs kernels Conv2D, DepthToSpace, and Unique, which the engine xla does not have.',
    ],
    [
      'shapes that do not fit',
      (x) => tf.add(x, tf.ones([2])),
      /tf\.add of f32\[3\] and f32\[2\]: .*do not broadcast/,
    ],
    [
      'a disposed tensor',
      (x) => {
        const y = tf.neg(x);
        y.dispose();
        return tf.neg(y);
      },
      /disposed/,
    ],
    [
      'a fold that changes its carry',
      (x) => {
        return engine.fold((carry: Vector) => ({ x: tf.concat([carry.x, carry.x]) }), { x }, {
          rows: tf.ones([2, 1]),
        } as never).x;
      },
      /changes the carried tensor "x" from f32\[3\] to f32\[6\]/,
    ],
  ])('refuses %s with a message that says so', async (_name, fn, message) => {
    await expect(run(fn)).rejects.toThrow(message);
    // The engine goes on working.
    expect(await run((x) => tf.neg(x))).toEqual([-1, -2, -3]);
  });

  it.each<[string, (x: tf.Tensor) => tf.Tensor, string, string]>([
    [
      'fails otherwise',
      (x) => tf.grad((y) => tf.sum(tf.unique(y).values))(x),
      'kernel Unique,',
      'test differentiates the tfjs kernel Unique, which has no gradient here.',
    ],
    [
      'meets a kernel that tfjs cpu lacks as well',
      (x) => tf.engine().runKernel('Nowhere', { x: tf.unique(x).values }) as tf.Tensor,
      'kernels Unique and Nowhere,',
      'test uses the tfjs kernel Nowhere, which the engine xla does not have.',
    ],
    [
      'would have to compute too much',
      (x) => tf.unique(tf.tile(x, [2 ** 18])).values,
      'kernel Unique,',
      'f32[786432] is too large to search with.',
    ],
    [
      'meets numbers that programs do not have',
      (x) => tf.real(tf.fft(tf.complex(x, x))),
      'kernel Complex,',
      'The engine xla has no tensors of dtype complex64.',
    ],
  ])('says where the search for unknown kernels ended if it %s', async (_name, fn, named, ended) => {
    const left = () => ({
      kernels: tf.getKernelsForBackend('xla').length,
      onCpu: tf.engine().findBackend('cpu').numDataIds(),
    });
    const before = left();
    await expect(run(fn)).rejects.toMatchObject({
      message: expect.stringContaining(named),
      code: 'unsupported-kernel',
      exitStatus: 4,
      suggestions: [expect.any(String), `There may be more: the search for them ended at "${ended}"`],
    });
    expect(left()).toEqual(before);
  });

  it('refuses ops outside compiled functions and synchronous reads', async () => {
    const x = upload([1, 2]);
    expect(() => x.dataSync()).toThrow(/synchronously/);
    const before = tf.getBackend();
    await tf.setBackend('xla');
    expect(() => tf.neg(x)).toThrow('tf.neg of f32[2] was called outside a compiled function');
    await tf.setBackend(before);
    x.dispose();
  });

  it('leaves the current tfjs backend alone', async () => {
    await tf.setBackend('cpu');
    expect(await run((x) => tf.square(x))).toEqual([1, 4, 9]);
    expect(tf.getBackend()).toBe('cpu');
    expect(tf.tidy(() => Array.from(tf.square(tf.tensor1d([3])).dataSync()))).toEqual([9]);
  });

  it('folds in a loop, also one within another, using outer values', async () => {
    const doubled = (x: tf.Tensor) =>
      engine.fold(
        (carry: Vector, { row }: { row: tf.Tensor }) =>
          engine.fold(
            (inner: Vector, { scale }: { scale: tf.Tensor }) => ({
              x: tf.add(inner.x, tf.mul(tf.mul(x, row), scale)),
            }),
            carry,
            { scale: tf.tensor1d([1, 10]) },
          ),
        { x: tf.zerosLike(x) },
        { row: x },
      ).x;
    // Σ over rows and scales of x·row·scale = x·(1 + 2 + 3)·11
    expect(await run(doubled)).toEqual([66, 132, 198]);
  });

  it('draws the numbers of the host streams', async () => {
    const stream = randomStream(5, 'test');
    const { key, counter } = stream.state();
    const state = engine.upload({
      dtype: 'int32',
      shape: [4],
      values: Int32Array.of(key[0] | 0, key[1] | 0, counter, 0),
    });
    const program = engine.compile(
      (_: TensorTree, input: Vector) => ({
        u: threefryUniform(input.x, [3, 3]),
        n: threefryNormal(input.x, [7]),
      }),
      { name: 'random' },
    );
    const { u, n } = await program.run([], { x: state });
    expect(await u.data()).toEqual(stream.uniform(9));
    const normal = randomStream(5, 'test').normal(7);
    for (const [i, value] of Array.from(await n.data()).entries()) expect(value).toBeCloseTo(normal[i]!, 5);
    tf.dispose([state, u, n]);
  });

  it('measures a training step and leaves nothing behind', async () => {
    const before = engine.memory().liveTensors;
    const { milliseconds, gflops } = await benchmarkStep(engine);
    expect(milliseconds).toBeGreaterThan(0);
    expect(gflops * milliseconds * 1e6).toBeCloseTo(5 * 2 * 1024 * 256 * 1024, -3);
    expect(engine.memory().liveTensors).toBe(before);
  });

  it('writes readable, repeatable program texts', async () => {
    const written = async (name: string) => {
      const program = donating(name);
      const by = upload([1], []);
      tf.dispose([by, await program.run({ x: upload([1, 2]) }, { by })]);
      program.dispose();
      return readFile(join(dumps, `${name}.mlir`), 'utf8');
    };
    const text = await written('first');
    expect((await written('second')).replaceAll('second', 'first')).toBe(text);
    expect(text).toContain('%state.x: tensor<2xf32> {tf.aliasing_output = 0 : i32}');
    expect(text).toContain('tensor<2xf32> {jax.result_info = "x"}');
  });
});
