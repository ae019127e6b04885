import '@tensorflow/tfjs-backend-cpu';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, TensorTree } from '../../../src/engine/index.js';
import { cutValues, joinValues } from '../../../src/engine/xla/placement.js';
import { openTestXla, TEST_DEVICE, TEST_DEVICES, WITHOUT_PLUGIN } from './with-xla.js';

describe('values in parts', () => {
  const values = Float32Array.from({ length: 24 }, (_, i) => i);
  it.each([0, 1, 2])('are cut along axis %i of [4,2,3] and joined again', async (axis) => {
    await tf.setBackend('cpu');
    const shape = [4, 2, 3];
    const count = shape[axis]!;
    const parts = cutValues(values, shape, axis, count);
    const rows = tf.tidy(() =>
      tf.split(tf.tensor(values, shape), count, axis).map((part) => Array.from(part.dataSync())),
    );
    expect(parts.map((part) => Array.from(part))).toEqual(rows);
    expect(joinValues(parts, shape, axis)).toEqual(values);
  });
});

const COUNTS = [2, 4].filter((count) => count <= TEST_DEVICES);

describe.skipIf(WITHOUT_PLUGIN).each(COUNTS)('the XLA engine on %i devices', (devices) => {
  let engine: Engine;
  let dumps: string;
  beforeAll(async () => {
    dumps = await mkdtemp(join(tmpdir(), 'programs-'));
    engine = await openTestXla({ devices, dumpProgramDir: dumps });
  });
  afterAll(async () => {
    expect(engine.memory().liveTensors).toBe(0);
    await engine.close();
    await rm(dumps, { recursive: true });
  });

  const range = (length: number) => Float32Array.from({ length }, (_, i) => i);
  const upload = (shape: number[], split?: number) => {
    const values = range(shape.reduce((a, b) => a * b, 1));
    return engine.upload({ dtype: 'float32', shape, values, ...(split === undefined ? {} : { split }) });
  };
  const valuesOf = async (tree: TensorTree): Promise<number[][]> => {
    const tensors = Object.values(tree) as tf.Tensor[];
    const values = await Promise.all(tensors.map(async (tensor) => Array.from(await tensor.data())));
    tf.dispose(tensors);
    return values;
  };

  it('says so', () => {
    expect(engine.devices).toBe(devices);
    expect(engine.deviceDescription).toMatch(`${devices} × `);
  });

  it.each([0, 1])('gives back what was uploaded in parts along axis %i', async (axis) => {
    const x = upload([4, 4], axis);
    // A GPU counts in blocks.
    if (TEST_DEVICE === 'cpu') expect(engine.memory().bytesInUse).toBe(64 / devices);
    expect(await x.data()).toEqual(range(16));
    expect(x.shape).toEqual([4, 4]);
    x.dispose();
  });

  it('refuses parts that are not equal', () => {
    expect(() => upload([3, 4], 0)).toThrow(
      `Axis 0 of f32[3,4] cannot be cut into equal parts for ${devices} devices.`,
    );
  });

  it('shows each device its part, and sums in one exchange', async () => {
    const program = engine.compile(
      (_: TensorTree, { x, y }: { x: tf.Tensor; y: tf.Tensor }) => {
        expect(x.shape).toEqual([8 / devices, 2]);
        const { sum, all } = engine.collectives.sum({ sum: tf.sum(x, 0), all: tf.add(y, 1) });
        return { sum, all, own: tf.mul(x, 2), last: tf.transpose(x) };
      },
      { name: 'summing', splitResults: (path) => ({ own: 0, last: -1 })[path] },
    );
    const [x, y] = [upload([8, 2], 0), upload([3])];
    const result = await program.run([], { x, y });
    expect(result.last.shape).toEqual([2, 8]);
    expect(await valuesOf(result)).toEqual([
      [56, 64],
      [1, 2, 3].map((value) => value * devices),
      Array.from(range(16), (value) => 2 * value),
      [...Array.from({ length: 8 }, (_, i) => 2 * i), ...Array.from({ length: 8 }, (_, i) => 2 * i + 1)],
    ]);
    const text = await readFile(join(dumps, 'summing.mlir'), 'utf8');
    expect(text.match(/stablehlo\.all_reduce/g)).toHaveLength(1);
    expect(text).toContain(`mhlo.num_replicas = ${devices} : i32`);
    tf.dispose([x, y]);
    program.dispose();
  });

  it('sums what products gave in bfloat16 as it is held, and the rest in float32', async () => {
    const narrow = await openTestXla({ devices, dumpProgramDir: dumps, precision: 'bfloat16' });
    const program = narrow.compile(
      (_: TensorTree, { x }: { x: tf.Tensor }) =>
        narrow.collectives.sum({
          all: tf.sum(x, 0),
          product: tf.matMul(x as tf.Tensor2D, x as tf.Tensor2D, true),
        }),
      { name: 'summing-narrow' },
    );
    const x = narrow.upload({ dtype: 'float32', shape: [8, 2], values: range(16), split: 0 });
    const [all, product] = await valuesOf(await program.run([], { x }));
    expect(all).toEqual([56, 64]);
    // Each device's part and their sum have eight digits of 2.
    for (const [i, exact] of [560, 616, 616, 680].entries()) {
      expect(Math.abs(product![i]! / exact - 1)).toBeLessThan(2 ** -7);
    }
    const text = await readFile(join(dumps, 'summing-narrow.mlir'), 'utf8');
    const types = [...text.matchAll(/stablehlo\.all_reduce"\([\s\S]*?\}\) : \(([^)]*)\)/g)].map(
      ([, type]) => type,
    );
    expect(types.toSorted()).toEqual(['tensor<2x2xbf16>', 'tensor<2xf32>']);
    x.dispose();
    program.dispose();
    await narrow.close();
  });

  it('takes parts of wholes and puts them together again', async () => {
    const program = engine.compile(
      (_: TensorTree, { x, y }: { x: tf.Tensor; y: tf.Tensor }) => {
        const parts = [engine.collectives.part(x, 0), engine.collectives.part(y, -1)];
        expect(parts.map(({ shape }) => shape)).toEqual([
          [4 / devices, 3],
          [2, 8 / devices],
        ]);
        return engine.collectives.gather(
          parts.map((part) => tf.mul(part, 2)),
          [0, -1],
        );
      },
      { name: 'gathering' },
    );
    const [x, y] = [upload([4, 3]), upload([2, 8])];
    expect(await valuesOf(await program.run([], { x, y }))).toEqual([
      Array.from(range(12), (value) => 2 * value),
      Array.from(range(16), (value) => 2 * value),
    ]);
    tf.dispose([x, y]);
    program.dispose();
  });

  it('consumes a donated state in parts', async () => {
    const before = engine.memory().liveTensors;
    const program = engine.compile(
      ({ w }: { w: tf.Tensor }, { by }: { by: tf.Tensor }) => ({ w: tf.add(w, by) }),
      { name: 'donating', donate: true, splitResults: () => 0 },
    );
    const by = upload([1]);
    let state = { w: upload([4], 0) };
    for (let i = 0; i < 3; i++) state = await program.run(state, { by });
    expect(engine.memory().liveTensors).toBe(before + 2 * devices);
    const otherwise = { w: upload([4]) };
    await expect(program.run(otherwise, { by })).rejects.toThrow(/state\.w lying otherwise on the devices/);
    tf.dispose([otherwise.w, by]);
    expect(await valuesOf(state)).toEqual([[0, 1, 2, 3]]);
    program.dispose();
  });

  it.each<[string, (x: tf.Tensor) => tf.Tensor, RegExp]>([
    [
      'in a differentiated function',
      (x) => tf.grad((y: tf.Tensor) => engine.collectives.sum([y])[0]!)(x),
      /inside a function that is being differentiated/,
    ],
    [
      'of a length that does not divide',
      (x) => engine.collectives.part(x, 0),
      /cannot be cut into equal parts/,
    ],
  ])('refuses an exchange %s', async (_name, fn, message) => {
    const x = upload([3]);
    const program = engine.compile((_: TensorTree, input: { x: tf.Tensor }) => fn(input.x), {
      name: 'wrong',
    });
    await expect(program.run([], { x })).rejects.toThrow(message);
    x.dispose();
  });

  it('refuses an exchange outside of a program', () => {
    expect(() => engine.collectives.sum([])).toThrow(/outside a compiled function/);
  });
});
