import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { findPlugin } from '../../src/engine/install/index.js';
import { disposeTree } from '../../src/engine/tree.js';
import { openXlaWith } from '../../src/engine/xla/index.js';
import { type Cut, DEFAULT_CUT } from '../../src/engine/xla/kernel-choice.js';
import { rmsNorm } from '../../src/model/transformer.js';
import { randomStream } from '../../src/random.js';

type Weights = Readonly<Record<'x' | 'a' | 'b' | 'c' | 'gain' | 'last', tf.Tensor>>;

/** Two norms on a residual stream between products, as a network has them. */
function loss({ x, a, b, c, gain, last }: Weights): tf.Scalar {
  const stream = tf.matMul(x, a);
  const first = tf.add(stream, tf.matMul(rmsNorm(stream, gain, 1e-5), b));
  const normed = rmsNorm(first, last, 1e-5);
  const second = tf.add(first, tf.mul(tf.relu(tf.matMul(normed, c)), tf.matMul(normed, b)));
  return tf.mean(tf.square(tf.matMul(second, a)));
}

const NAMES = ['x', 'a', 'b', 'c', 'gain', 'last'] as const;

/** Loss and gradients, and how many kernels of our own the program calls. */
async function gradients(rows: number, width: number, kernels: Cut | false) {
  const folder = await mkdtemp(join(tmpdir(), 'kernels-'));
  const engine = await openXlaWith(await findPlugin('cuda'), {
    ...{ device: 'cuda', precision: 'bfloat16', dumpProgramDir: folder, kernels: kernels && (() => kernels) },
  });
  const stream = randomStream(3, 'rows');
  const draw = (shape: number[], scale: number, from = 0) => {
    const values = stream.normal(shape.reduce((product, n) => product * n, 1)).map((v) => from + v * scale);
    return engine.upload({ dtype: 'float32', shape, values });
  };
  const square = () => draw([width, width], 1 / Math.sqrt(width));
  const state: Weights = {
    x: draw([rows, width], 1),
    a: square(),
    b: square(),
    c: square(),
    gain: draw([width], 0.3, 1),
    last: draw([width], 0.3, 1),
  };
  const program = engine.compile(
    (weights: Weights) => {
      const { value, grads } = tf.valueAndGrads((...values: tf.Tensor[]) =>
        loss(Object.fromEntries(NAMES.map((name, i) => [name, values[i]!])) as Weights),
      )(NAMES.map((name) => weights[name]));
      return [value, ...grads];
    },
    { name: 'norms' },
  );
  const results = await program.run(state, []);
  const values = await Promise.all(results.map((each) => each.data() as Promise<Float32Array>));
  disposeTree([{ ...state }, results]);
  await engine.close();
  const text = await readFile(join(folder, 'norms.mlir'), 'utf8');
  await rm(folder, { recursive: true });
  return { values, calls: text.split('xla.gpu.triton').length - 1 };
}

const norm = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));

describe('kernels of our own for rows', () => {
  it.each<[string, number, number, Cut]>([
    ['a power of two', 1024, 256, DEFAULT_CUT],
    ['a width between two powers', 1024, 768, DEFAULT_CUT],
    ['rows that no instance divides', 1031, 96, DEFAULT_CUT],
    ['an odd width', 517, 33, DEFAULT_CUT],
    ['wide rows', 513, 2000, DEFAULT_CUT],
    ['one row at once', 700, 768, { lanesAtOnce: 1, rowsOfInstance: 7, warps: 8 }],
    ['no loop', 640, 64, { lanesAtOnce: 4096, rowsOfInstance: 16, warps: 2 }],
  ])('give what the plain form gives: %s', async (_name, rows, width, cut) => {
    const [own, plain] = [await gradients(rows, width, cut), await gradients(rows, width, false)];
    // Both norms and both of their gradients.
    expect([own.calls, plain.calls]).toEqual([4, 0]);
    for (const [i, values] of own.values.entries()) {
      const error = norm(values.map((x, j) => x - plain.values[i]![j]!)) / norm(plain.values[i]!);
      expect(error, ['loss', ...NAMES][i]).toBeLessThan(5e-3);
    }
  });
});
