import * as tf from '@tensorflow/tfjs-core';
import { afterAll, describe, expect, it } from 'vitest';
import { fusedCausalAttention } from '../../src/engine/attention.js';
import { type Engine, openEngine, type Precision, type TensorTree } from '../../src/engine/index.js';
import { findPlugin } from '../../src/engine/install/index.js';
import { disposeTree } from '../../src/engine/tree.js';
import { openPlugin } from '../../src/engine/xla/open.js';
import { attention, causalBias } from '../../src/model/attention.js';
import { randomStream } from '../../src/random.js';

/** What only a GPU has. Run by `npm run test:device`. */

type Heads = { readonly q: tf.Tensor; readonly k: tf.Tensor; readonly v: tf.Tensor };

const engines = new Map<string, Promise<Engine>>();
const open = (precision: Precision): Promise<Engine> => {
  const known = engines.get(precision) ?? openEngine('xla', { device: 'cuda', precision });
  engines.set(precision, known);
  return known;
};
afterAll(async () => {
  for (const engine of engines.values()) await (await engine).close();
});

/** Attention's result and its gradients by q, k and v under a random cotangent, one after another. */
async function attended(
  precision: Precision,
  shape: number[],
  keyHeads: number,
  isFused: boolean,
): Promise<Float32Array[]> {
  const engine = await open(precision);
  const [batch, length, heads, dim] = shape as [number, number, number, number];
  const stream = randomStream(1, 'attention');
  const draw = (count: number) => {
    const dims = [batch, length, count, dim];
    const values = stream.normal(batch * length * count * dim);
    return engine.upload({ dtype: 'float32', shape: dims, values });
  };
  const scale = 1 / Math.sqrt(dim);
  let fused = false;
  const run = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor): tf.Tensor => {
    const result = fusedCausalAttention(q, k, v, scale);
    fused ||= result !== undefined;
    return result ?? tf.reshape(attention(q, k, v, scale, causalBias(length)), shape);
  };
  const program = engine.compile(
    ({ q, k, v }: Heads, { dy }: { dy: tf.Tensor }) => {
      const gradients = tf.grads(((...[a, b, c]: tf.Tensor[]) => run(a!, b!, c!)) as (
        ...args: tf.Tensor[]
      ) => tf.Tensor)([q, k, v], dy);
      return [run(q, k, v), ...gradients];
    },
    { name: 'attention' },
  );
  const inputs = { q: draw(heads), k: draw(keyHeads), v: draw(keyHeads) };
  const dy = draw(heads);
  const results = await program.run(inputs, { dy });
  const values = await Promise.all(results.map((each) => each.data() as Promise<Float32Array>));
  disposeTree([results, inputs, dy] as TensorTree);
  program.dispose();
  expect(fused).toBe(isFused);
  return values;
}

const norm = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));

/** Result and gradients in bfloat16 are those of float32, but for rounding. */
async function expectClose(shape: number[], keyHeads: number, isFused: boolean): Promise<void> {
  const narrow = await attended('bfloat16', shape, keyHeads, isFused);
  const wide = await attended('float32', shape, keyHeads, false);
  for (const [i, values] of narrow.entries()) {
    const error = norm(values.map((x, j) => x - wide[i]![j]!)) / norm(wide[i]!);
    expect(error).toBeLessThan(0.02);
    expect(error).toBeGreaterThan(0);
  }
}

type Case = [name: string, shape: number[], keyHeads: number];

describe('cuDNN attention', () => {
  it.each<Case>([
    ['one block', [2, 64, 4, 64], 4],
    ['a length that is no multiple of a block', [1, 100, 2, 64], 2],
    ['an odd length', [3, 129, 2, 64], 2],
    ['two positions', [3, 2, 2, 64], 2],
    ['wide heads', [2, 128, 2, 128], 2],
    ['the widest heads', [1, 64, 2, 256], 2],
    ['narrow heads', [2, 128, 4, 16], 4],
    ['heads of an odd multiple of 8', [2, 77, 4, 24], 4],
    ['grouped queries', [2, 128, 8, 64], 2],
    ['grouped queries of an odd length', [1, 333, 6, 64], 3],
    ['one key head', [2, 96, 4, 32], 1],
  ])('equals the plain form within bfloat16: %s', (_name, shape, keyHeads) =>
    expectClose(shape, keyHeads, true),
  );

  it.each<Case>([
    ['heads of no multiple of 8', [2, 64, 4, 20], 4],
    ['heads of more than 256', [1, 64, 2, 264], 2],
    ['grouped queries with heads of 20', [2, 50, 4, 20], 2],
  ])('leaves to the plain form: %s', (_name, shape, keyHeads) => expectClose(shape, keyHeads, false));
});

describe('what goes wrong on a device', () => {
  it('says when memory runs out, and goes on', async () => {
    const engine = await open('float32');
    const side = 2 ** 18;
    const program = engine.compile(
      // A result of 2^36 elements, 256 GiB.
      (_: TensorTree, { x }: { x: tf.Tensor }) => tf.add(tf.reshape(x, [side, 1]), tf.reshape(x, [1, side])),
      { name: 'too large' },
    );
    const x = engine.upload({ dtype: 'float32', shape: [side], values: new Float32Array(side).fill(1) });
    // The call is over before the device has looked for the memory: who asks for a value is told.
    const corner = engine.compile(
      (_: TensorTree, input: { y: tf.Tensor }) => tf.slice(input.y, [0, 0], [1, 1]),
      {
        name: 'corner',
      },
    );
    const read = async () => {
      const y = await program.run([], { x });
      await (await corner.run([], { y })).data();
    };
    await expect(read()).rejects.toMatchObject({ exitStatus: 4, code: 'out-of-memory' });
    const fine = engine.compile((_: TensorTree, input: { x: tf.Tensor }) => tf.sum(input.x), { name: 'sum' });
    // The other one that failed may still be told of.
    await fine.run([], { x }).catch(() => undefined);
    const sum = await fine.run([], { x });
    expect(Array.from(await sum.data())).toEqual([side]);
    disposeTree([x, sum]);
  });

  it('says when a program does not compile', async () => {
    const client = await openPlugin(await findPlugin('cuda'));
    const spec = { elementType: 'f32', shape: [2] } as const;
    const text = `module @bad { func.func public @main(%a: tensor<2xf32>) -> tensor<2xf32> {
      %b = stablehlo.custom_call @no_such_kernel(%a) : (tensor<2xf32>) -> tensor<2xf32>
      return %b : tensor<2xf32> } }`;
    const program = { name: 'bad', text, inputs: [spec], outputs: [spec], donated: [] };
    await expect(client.compile(program, { cache: false })).rejects.toMatchObject({ exitStatus: 4 });
    await client.close();
  });
});
