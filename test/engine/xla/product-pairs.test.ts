import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { createGraph } from '../../../src/engine/xla/graph.js';
import { type Cut, kernelsOf, STARTING_CUTS } from '../../../src/engine/xla/kernel-choice.js';
import { withOwnKernels } from '../../../src/engine/xla/own-kernels.js';
import { joinProducts } from '../../../src/engine/xla/product-pairs.js';
import { emitModule } from '../../../src/engine/xla/stablehlo.js';
import { sizeOf } from '../../../src/engine/xla/types.js';
import { ACTIVATION_NAMES, ACTIVATIONS } from '../../../src/model/activations/index.js';
import { evaluate } from './evaluate.js';
import { counts, expectEqual, gradientProgram, nodesOf } from './gradient-programs.js';
import { draws, GATE, GATE_PARTS, gate, gateTypes } from './kernel-programs.js';

type Weights = readonly [start: tf.Tensor, gate: tf.Tensor, up: tf.Tensor, down: tf.Tensor];

type Value = (x: tf.Tensor, ...weights: Weights) => tf.Tensor | tf.Tensor[];

interface Dims {
  readonly rows: number;
  readonly width: number;
  readonly ff: number;
  /** Weights as [F, D], as a network stores them, or [D, F]. */
  readonly across: boolean;
}

const USUAL: Dims = { rows: 512, width: 16, ff: 64, across: true };

const program = ({ rows, width, ff, across }: Dims, value: Value) => {
  const side = across ? [ff, width] : [width, ff];
  return gradientProgram([[rows, width], [width, width], side, side, [width, ff]], (x, ...weights) =>
    value(x, ...(weights as unknown as Weights)),
  );
};

/** act(x·G) ⊙ x·U, and out of it. */
const gated =
  (act: (x: tf.Tensor) => tf.Tensor, onUp: (x: tf.Tensor) => tf.Tensor = (x) => x, across = true) =>
  (x: tf.Tensor, start: tf.Tensor, gate: tf.Tensor, up: tf.Tensor, down: tf.Tensor) => {
    const h = tf.matMul(x, start);
    const [g, u] = [tf.matMul(h, gate, false, across), tf.matMul(h, up, false, across)];
    return tf.matMul(tf.mul(act(g), onUp(u)), down, false, true);
  };

const choose = (cut: Cut = STARTING_CUTS.pairs) => kernelsOf(['pairs'], { pairs: cut });

describe('two products of one operand, joined', () => {
  it.each(ACTIVATION_NAMES.filter((name) => name !== 'gelu_tanh'))(
    '%s: one product forward and two back',
    async (name) => {
      const activation = ACTIVATIONS[name];
      const act = (x: tf.Tensor) => activation.apply(x);
      const plain = await program(USUAL, gated(act, activation.onUp ? act : undefined));
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
  ])('with %s', async (_name, dims, cut) => {
    const plain = await program(dims, gated(tf.relu, undefined, dims.across));
    const own = joinProducts(plain, choose(cut));
    expect(counts(own)).toEqual({ calls: 1, products: 8 });
    expectEqual(own, plain, 'ordinary values');
    expectEqual(own, plain, 'infinities and NaN');
  });

  it.each<[string, Dims, Value]>([
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
  ])('leaves %s alone', async (_name, dims, value) => {
    const plain = await program(dims, value);
    expect(joinProducts(plain, choose())).toBe(plain);
  });

  it('beside another product of the operand, which stays', async () => {
    const plain = await program(USUAL, (x, start, gate, up, down) => {
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

  it('where what goes in and comes out is scaled, as under μP', async () => {
    const plain = await program(USUAL, (x, ...weights) => {
      const h = tf.mul(x, 12);
      return tf.add(h, tf.mul(gated(tf.relu)(h, ...weights), 0.35));
    });
    const own = joinProducts(plain, choose());
    expect(counts(own)).toEqual({ calls: 1, products: 8 });
    expectEqual(own, plain, 'ordinary values');
  });

  it('leaves all alone unless it is chosen, and programs that differentiate nothing', async () => {
    const plain = await program(USUAL, gated(tf.relu));
    expect(joinProducts(plain, () => undefined)).toBe(plain);
    const { parameters, results } = plain;
    const forward = { parameters, results: [results[0]!] };
    expect(joinProducts(forward, choose())).toBe(forward);
  });

  it.each([
    ['A', 2048],
    ['C', 1920],
  ])('in what is timed alone, at the sizes of %s, also of its parts', (_name, ff) => {
    const graph = createGraph();
    const parameters = [...gateTypes(16_384, 768, ff), ...gateTypes(16_384, 768, ff)].map((type, index) =>
      graph.add({ op: 'parameter', index, name: `p${index}`, type }),
    );
    const results = [parameters.slice(0, GATE.operands), parameters.slice(GATE.operands)].flatMap(gate);
    const [plain, own] = [{ parameters, results }, joinProducts({ parameters, results }, choose())];
    const parts = Object.entries(GATE_PARTS).map(([name, of]) => [name, counts(of(plain)), counts(of(own))]);
    // Of two gates.
    expect(parts).toEqual([
      ['forward', { calls: 0, products: 4 }, { calls: 0, products: 2 }],
      ['backward', { calls: 0, products: 8 }, { calls: 2, products: 4 }],
      ['both', { calls: 0, products: 12 }, { calls: 2, products: 6 }],
    ]);
    const backward = GATE_PARTS.backward(own);
    const text = emitModule(
      backward.parameters.map((node, i) => ({ node, name: `p${i}` })),
      backward.results.map((node, i) => ({ node, name: `r${i}` })),
      { name: 'backward' },
    );
    expect(text.split('xla.gpu.triton')).toHaveLength(3);
  });

  it('in parts that together give what the whole gives', () => {
    const graph = createGraph();
    const parameters = gateTypes(512, 16, 64).map((type, index) =>
      graph.add({ op: 'parameter', index, name: `p${index}`, type }),
    );
    const plain = { parameters, results: gate(parameters) };
    const operands = parameters.map(({ type }, i) =>
      draws(sizeOf(type.shape), 'ordinary values', type.element, i),
    );
    const [act, products] = evaluate(GATE_PARTS.forward(joinProducts(plain, choose())).results, operands);
    const given = [...operands.slice(0, -1), products!];
    for (const of of [plain, joinProducts(plain, choose())]) {
      const parted = [act!, ...evaluate(GATE_PARTS.backward(of).results, given)];
      expect(parted).toEqual(evaluate(of.results, operands));
    }
  });

  it('with copies of weights and squares of gradients of our own, which take both sides as one', async () => {
    const plain = await program(USUAL, gated(tf.relu));
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
