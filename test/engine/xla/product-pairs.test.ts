import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { BACKEND, type XlaBackend } from '../../../src/engine/xla/backend.js';
import { xlaEngine } from '../../../src/engine/xla/index.js';
import { type Cut, kernelsOf, STARTING_CUTS } from '../../../src/engine/xla/kernel-choice.js';
import { withOwnKernels } from '../../../src/engine/xla/own-kernels.js';
import type { PjrtClient } from '../../../src/engine/xla/pjrt/index.js';
import { allNodes, toBfloat16 } from '../../../src/engine/xla/precision.js';
import { joinProducts } from '../../../src/engine/xla/product-pairs.js';
import type { GraphProgram } from '../../../src/engine/xla/rebuild.js';
import { trace } from '../../../src/engine/xla/trace.js';
import { sizeOf } from '../../../src/engine/xla/types.js';
import { ACTIVATION_NAMES, ACTIVATIONS } from '../../../src/model/activations/index.js';
import { evaluate } from './evaluate.js';
import { draws } from './kernel-programs.js';

let backend: XlaBackend;
beforeAll(async () => {
  await tf.setBackend('cpu');
  // Nothing is compiled: a client that has no device will do.
  xlaEngine({ platform: 'cuda', deviceCount: 1, plugin: {}, deviceAttributes: {} } as PjrtClient, {});
  backend = tf.engine().findBackend(BACKEND) as unknown as XlaBackend;
});

type Weights = readonly [start: tf.Tensor, gate: tf.Tensor, up: tf.Tensor, down: tf.Tensor];

interface Dims {
  readonly rows: number;
  readonly width: number;
  readonly ff: number;
  /** Weights as [F, D], as a network stores them, or [D, F]. */
  readonly across: boolean;
}

const USUAL: Dims = { rows: 512, width: 16, ff: 64, across: true };

/** Value, squares of all gradients, and gradients of a function of x, its weights [F, D] twice and one to leave it by, in bfloat16. */
function program(
  { rows, width, ff, across }: Dims,
  value: (x: tf.Tensor, ...weights: Weights) => tf.Tensor | tf.Tensor[],
): GraphProgram {
  const side = across ? [ff, width] : [width, ff];
  const shapes = [[rows, width], [width, width], side, side, [width, ff]];
  const leaves = shapes.map((shape, i) => ({ path: `p${i}`, type: { element: 'f32' as const, shape } }));
  const traced = trace(
    backend,
    'pairs',
    (tensors: tf.Tensor[]) => {
      const [x, ...weights] = tensors;
      const others: tf.Tensor[] = [];
      const { value: loss, grads } = tf.valueAndGrads((...given: tf.Tensor[]) => {
        const [out, ...more] = [value(x!, ...(given as unknown as Weights))].flat();
        others.push(...more.map((each) => tf.keep(each)));
        return tf.mean(tf.square(out!)) as tf.Scalar;
      })(weights);
      const squares = grads.map((grad) => tf.sum(tf.square(grad))).reduce((a, b) => tf.add(a, b));
      return [loss, squares, ...grads, ...others];
    },
    [shapes.map((shape) => tf.zeros(shape))],
    leaves,
  );
  return toBfloat16({
    parameters: traced.parameters.map(({ node }) => node),
    results: traced.results.map(({ node }) => node),
  });
}

/** act(x·G) ⊙ x·U, and out of it. */
const gated =
  (act: (x: tf.Tensor) => tf.Tensor, onUp: (x: tf.Tensor) => tf.Tensor = (x) => x, across = true) =>
  (x: tf.Tensor, start: tf.Tensor, gate: tf.Tensor, up: tf.Tensor, down: tf.Tensor) => {
    const h = tf.matMul(x, start);
    const [g, u] = [tf.matMul(h, gate, false, across), tf.matMul(h, up, false, across)];
    return tf.matMul(tf.mul(act(g), onUp(u)), down, false, true);
  };

const choose = (cut: Cut = STARTING_CUTS.pairs) => kernelsOf(['pairs'], { pairs: cut });
const nodesOf = ({ parameters, results }: GraphProgram) => allNodes([...parameters, ...results]);
const counts = (of: GraphProgram) => {
  const ops = nodesOf(of).map(({ operation }) => operation.op);
  return {
    calls: ops.filter((op) => op === 'custom_call').length,
    products: ops.filter((op) => op === 'dot_general').length,
  };
};

function operandsOf({ parameters }: GraphProgram, draw: 'ordinary values' | 'infinities and NaN') {
  return parameters.map(({ type }, i) => {
    const values = draws(sizeOf(type.shape), i === 0 ? draw : 'ordinary values', 'f32', i);
    return i === 0 ? values : values.map((x) => x / 2);
  });
}

/** How far results are off, as a share of the largest number of each. */
function expectEqual(own: GraphProgram, plain: GraphProgram, draw: 'ordinary values' | 'infinities and NaN') {
  const operands = operandsOf(plain, draw);
  const [actual, expected] = [own, plain].map(({ results }) => evaluate(results, operands));
  for (const [i, wanted] of expected!.entries()) {
    const largest = wanted.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0);
    expect(actual![i]!.length).toBe(wanted.length);
    for (const [k, want] of wanted.entries()) {
      const got = actual![i]![k]!;
      const near = Number.isFinite(want) ? Math.abs(got - want) <= 2 ** -7 * largest : Object.is(got, want);
      if (!near) expect([i, k, got]).toEqual([i, k, want]);
    }
    if (draw === 'ordinary values') expect(largest).toBeGreaterThan(0);
  }
}

describe('two products of one operand, joined', () => {
  it.each(ACTIVATION_NAMES.filter((name) => name !== 'gelu_tanh'))(
    '%s: one product forward and two back',
    (name) => {
      const activation = ACTIVATIONS[name];
      const act = (x: tf.Tensor) => activation.apply(x);
      const plain = program(USUAL, gated(act, activation.onUp ? act : undefined));
      const own = joinProducts(plain, choose());
      // Of 11 products, six are three now.
      expect([counts(plain), counts(own)]).toEqual([
        { calls: 0, products: 11 },
        { calls: 1, products: 8 },
      ]);
      expectEqual(own, plain, 'ordinary values');
    },
  );

  it.each<[string, Dims, Cut | undefined]>([
    ['weights the other way round', { ...USUAL, across: false }, undefined],
    ['rows that no instance divides', { ...USUAL, rows: 517 }, undefined],
    ['columns that no tile divides', { ...USUAL, ff: 72 }, undefined],
    ['several tiles', { ...USUAL, ff: 320 }, { lanesAtOnce: 128, rowsOfInstance: 1, warps: 4 }],
    ['one row at once', { ...USUAL, ff: 64 }, { lanesAtOnce: 1, rowsOfInstance: 1, warps: 4 }],
  ])('with %s', (_name, dims, cut) => {
    const plain = program(dims, gated(tf.relu, undefined, dims.across));
    const own = joinProducts(plain, choose(cut));
    expect(counts(own)).toEqual({ calls: 1, products: 8 });
    expectEqual(own, plain, 'ordinary values');
    expectEqual(own, plain, 'infinities and NaN');
  });

  it.each<[string, Dims, Parameters<typeof program>[1]]>([
    ['few rows', { ...USUAL, rows: 511 }, gated(tf.relu)],
    ['halves that do not begin at 16 bytes', { ...USUAL, ff: 68 }, gated(tf.relu)],
    ['narrow halves', { ...USUAL, ff: 56 }, gated(tf.relu)],
    ['what no kernel of ours computes', USUAL, gated(tf.tanh)],
    [
      'a gradient that is added to the operand first',
      USUAL,
      (x, start, gate, up, down) => {
        const h = tf.matMul(x, start);
        const both = tf.mul(tf.relu(tf.matMul(h, gate, false, true)), tf.matMul(h, up, false, true));
        return tf.add(h, tf.matMul(both, down, false, true));
      },
    ],
    [
      'products of two operands',
      USUAL,
      (x, start, gate, up, down) => {
        const [h, k] = [tf.matMul(x, start), tf.matMul(tf.relu(x), start)];
        const both = tf.mul(tf.relu(tf.matMul(h, gate, false, true)), tf.matMul(k, up, false, true));
        return tf.matMul(both, down, false, true);
      },
    ],
    [
      'a product that is needed as it is',
      USUAL,
      (x, start, gate, up, down) => {
        const h = tf.matMul(x, start);
        const [g, u] = [tf.matMul(h, gate, false, true), tf.matMul(h, up, false, true)];
        const out = tf.matMul(tf.mul(tf.relu(g), u), down, false, true);
        return [out, tf.matMul(g, down, false, true)];
      },
    ],
    [
      'gradients that also sums along rows make',
      USUAL,
      (x, start, gate, up, down) => {
        const h = tf.matMul(x, start);
        const g = tf.softmax(tf.matMul(h, gate, false, true));
        return tf.matMul(tf.mul(g, tf.matMul(h, up, false, true)), down, false, true);
      },
    ],
    [
      'weights that something else takes too',
      USUAL,
      (x, start, gate, up, down) => {
        const first = tf.relu(tf.matMul(x, gate, false, true));
        return tf.add(gated(tf.relu)(x, start, gate, up, down), tf.matMul(first, down, false, true));
      },
    ],
  ])('leaves %s alone', (_name, dims, value) => {
    const plain = program(dims, value);
    expect(joinProducts(plain, choose())).toBe(plain);
  });

  it('beside another product of the operand, which stays', () => {
    const plain = program(USUAL, (x, start, gate, up, down) => {
      const once = gated(tf.relu)(x, start, gate, up, down);
      return tf.add(once, tf.matMul(tf.relu(tf.matMul(tf.matMul(x, start), down)), down, false, true));
    });
    const own = joinProducts(plain, choose());
    expect([counts(plain), counts(own)]).toEqual([
      { calls: 0, products: 17 },
      { calls: 1, products: 14 },
    ]);
    expectEqual(own, plain, 'ordinary values');
  });

  it('leaves all alone unless it is chosen, and programs that differentiate nothing', () => {
    const plain = program(USUAL, gated(tf.relu));
    expect(joinProducts(plain, () => undefined)).toBe(plain);
    const { parameters, results } = plain;
    const forward = { parameters, results: [results[0]!] };
    expect(joinProducts(forward, choose())).toBe(forward);
  });

  it('with copies of weights and squares of gradients of our own, which take both sides as one', () => {
    const plain = program(USUAL, gated(tf.relu));
    const own = withOwnKernels(plain, kernelsOf(['pairs', 'casts', 'squares']));
    const sizes = (name: string) =>
      nodesOf(own)
        .filter(
          ({ operation }) => operation.op === 'custom_call' && operation.config.includes(`name = "${name}"`),
        )
        .map((call) => call.inputs.map(({ type }) => sizeOf(type.shape)).toSorted((a, b) => a - b));
    // All five arguments; four gradients, two of which are one.
    expect(sizes('casts')).toEqual([[256, 1024, 1024, 1024, 8192]]);
    expect(sizes('squares')).toEqual([[256, 1024, 2048]]);
    expect(nodesOf(own).filter(({ operation }) => operation.op === 'concatenate')).toEqual([]);
    expectEqual(own, plain, 'ordinary values');
  });
});
