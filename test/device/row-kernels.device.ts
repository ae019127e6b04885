import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findPlugin } from '../../src/engine/install/index.js';
import { disposeTree } from '../../src/engine/tree.js';
import { openXlaWith } from '../../src/engine/xla/index.js';
import { type Cut, DEFAULT_CUT, type KernelKind, kernelsOf } from '../../src/engine/xla/kernel-choice.js';
import { randomStream } from '../../src/random.js';
import {
  CALLS,
  callsIn,
  gradientsOf,
  RESULTS,
  shapesOf,
  VOCABULARY,
  type Weights,
} from '../engine/xla/kernel-networks.js';

/** What the network gives with kernels of these kinds, and how many of them its program calls. */
async function results(rows: number, width: number, kinds: readonly KernelKind[], cut?: Cut) {
  const folder = await mkdtemp(join(tmpdir(), 'kernels-'));
  const cuts = cut && { norms: cut, normGradients: cut };
  const engine = await openXlaWith(await findPlugin('cuda'), {
    ...{ device: 'cuda', precision: 'bfloat16', dumpProgramDir: folder, kernels: kernelsOf(kinds, cuts) },
  });
  const stream = randomStream(3, 'rows');
  const state = Object.fromEntries(
    Object.entries(shapesOf(rows, width)).map(([name, shape]) => {
      const [from, scale] = shape.length === 1 ? [1, 0.3] : [0, name === 'x' ? 1 : 1 / Math.sqrt(width)];
      const values = stream.normal(shape.reduce((product, n) => product * n, 1)).map((v) => from + v * scale);
      return [name, engine.upload({ dtype: 'float32', shape, values })];
    }),
  ) as unknown as Weights;
  const targets = Int32Array.from({ length: rows }, (_, i) => (i * 31) % VOCABULARY);
  const ids = engine.upload({ dtype: 'int32', shape: [rows], values: targets });
  const program = engine.compile(gradientsOf, { name: 'network' });
  const given = await program.run(state, ids);
  const values = await Promise.all(given.map((each) => each.data() as Promise<Float32Array>));
  disposeTree([{ ...state }, ids, given]);
  await engine.close();
  const text = await readFile(join(folder, 'network.mlir'), 'utf8');
  await rm(folder, { recursive: true });
  return { values, calls: callsIn(text) };
}

const norm = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));

async function compare(rows: number, width: number, kinds: readonly KernelKind[], calls: number, cut?: Cut) {
  const [own, plain] = [await results(rows, width, kinds, cut), await results(rows, width, [])];
  expect([own.calls, plain.calls]).toEqual([calls, 0]);
  for (const [i, values] of own.values.entries()) {
    const error = norm(values.map((x, j) => x - plain.values[i]![j]!)) / norm(plain.values[i]!);
    expect(error, RESULTS[i]).toBeLessThan(5e-3);
  }
}

describe('kernels of our own', () => {
  it.each<[string, number, number, Cut]>([
    ['a power of two', 1024, 256, DEFAULT_CUT],
    ['a width between two powers', 1024, 768, DEFAULT_CUT],
    ['rows that no instance divides', 1031, 96, DEFAULT_CUT],
    ['an odd width', 517, 33, DEFAULT_CUT],
    ['wide rows', 513, 2000, DEFAULT_CUT],
    ['one row at once', 700, 768, { lanesAtOnce: 1, rowsOfInstance: 7, warps: 8 }],
    ['no loop', 640, 64, { lanesAtOnce: 4096, rowsOfInstance: 16, warps: 2 }],
  ])('for norms give what the plain form gives: %s', async (_name, rows, width, cut) => {
    // Both norms and both of their gradients.
    await compare(rows, width, ['norms', 'normGradients'], 4, cut);
  });

  it.each(CALLS.filter(([kinds]) => kinds.length > 0))(
    'of the kinds %j give what the plain form gives',
    async (kinds, calls) => {
      await compare(1031, 96, kinds, calls);
      await compare(517, 33, kinds, calls);
    },
  );
});
