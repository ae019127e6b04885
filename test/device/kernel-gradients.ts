import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { expect } from 'vitest';
import { findPlugin } from '../../src/engine/install/index.js';
import { disposeTree } from '../../src/engine/tree.js';
import { openXlaWith } from '../../src/engine/xla/index.js';
import type { KernelChoice } from '../../src/engine/xla/kernel-choice.js';
import { randomStream } from '../../src/random.js';

type Drawn = { readonly shape: readonly number[]; readonly scale: number; readonly from?: number };
type Weights<Name extends string> = Readonly<Record<Name, tf.Tensor>>;

/** Loss and gradients in bfloat16 on the GPU, and how many kernels of our own the program calls. */
async function gradients<Name extends string>(
  drawn: Readonly<Record<Name, Drawn>>,
  loss: (weights: Weights<Name>) => tf.Scalar,
  kernels: KernelChoice | false,
) {
  const folder = await mkdtemp(join(tmpdir(), 'kernels-'));
  const engine = await openXlaWith(await findPlugin('cuda'), {
    ...{ device: 'cuda', precision: 'bfloat16', dumpProgramDir: folder, kernels },
  });
  const stream = randomStream(3, 'rows');
  const names = Object.keys(drawn) as Name[];
  const state = Object.fromEntries(
    names.map((name) => {
      const { shape, scale, from = 0 } = drawn[name];
      const values = stream.normal(shape.reduce((product, n) => product * n, 1)).map((v) => from + v * scale);
      return [name, engine.upload({ dtype: 'float32', shape: [...shape], values })];
    }),
  ) as Weights<Name>;
  const program = engine.compile(
    (weights: Weights<Name>) => {
      const { value, grads } = tf.valueAndGrads((...values: tf.Tensor[]) =>
        loss(Object.fromEntries(names.map((name, i) => [name, values[i]!])) as Weights<Name>),
      )(names.map((name) => weights[name]));
      return [value, ...grads];
    },
    { name: 'gradients' },
  );
  const results = await program.run(state, []);
  const values = await Promise.all(results.map((each) => each.data() as Promise<Float32Array>));
  disposeTree([{ ...state }, results]);
  await engine.close();
  const text = await readFile(join(folder, 'gradients.mlir'), 'utf8');
  await rm(folder, { recursive: true });
  return { values, names, calls: text.split('xla.gpu.triton').length - 1 };
}

const norm = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));

/** Loss and gradients with kernels of our own are those without, up to roundings; and so many are called. */
export async function expectSameGradients<Name extends string>(
  drawn: Readonly<Record<Name, Drawn>>,
  loss: (weights: Weights<Name>) => tf.Scalar,
  kernels: KernelChoice,
  calls: number,
): Promise<void> {
  const [own, plain] = [await gradients(drawn, loss, kernels), await gradients(drawn, loss, false)];
  expect([own.calls, plain.calls]).toEqual([calls, 0]);
  for (const [i, values] of own.values.entries()) {
    const error = norm(values.map((x, j) => x - plain.values[i]![j]!)) / norm(plain.values[i]!);
    expect(error, ['loss', ...own.names][i]).toBeLessThan(5e-3);
  }
}
