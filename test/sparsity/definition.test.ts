import {
  add,
  concat,
  gather,
  matMul,
  mean,
  ones,
  reshape,
  slice,
  type Tensor,
  tensor2d,
  type zeros,
} from '@tensorflow/tfjs-core';
import { afterAll, describe, expect, it } from 'vitest';
import { tokenLosses } from '../../src/model/transformer.js';
import { openSession, uploadModel } from '../../src/sparsity/evaluate.js';
import { METRICS, type Setting } from '../../src/sparsity/metrics/index.js';
import type { MeasuredModel } from '../../src/sparsity/model.js';
import { outputNormRule } from '../../src/sparsity/rules.js';
import { summarise } from '../../src/sparsity/summarise.js';
import { calibrate } from '../../src/sparsity/threshold-search.js';
import { contextOf, inMemory, measured, sessionOf, testEngine, windowsOf } from './harness.js';
import { generator, randomModel, spoken } from './reference.js';

afterAll(async () => (await testEngine()).close());

/** A single layer whose neurons are looked up by token: rows of `h` by id, columns of `down` in rows. */
function lookup(h: number[][], down: number[][]): MeasuredModel {
  const [D, F] = [down.length, down[0]!.length];
  return {
    layers: 1,
    ff: F,
    vocabSize: h.length,
    tensors: inMemory([
      ['h', { dtype: 'float32', shape: [h.length, F], values: Float32Array.from(h.flat()) }],
      ['down', { dtype: 'float32', shape: [D, F], values: Float32Array.from(down.flat()) }],
    ]),
    downProjections: ['down'],
    hiddenStates(p, tokens, tap) {
      const hidden = gather(p.h!, reshape(tokens, [-1]));
      const kept = tap ? tap(0, { gate: hidden, up: null, hidden, down: p.down! }) : hidden;
      return matMul(kept, p.down!, false, true);
    },
    logits: (_, hidden) => matMul(hidden, ones([D, h.length])),
    losses: (_, hidden, targets) => tokenLosses(matMul(hidden, ones([D, h.length])), targets),
  };
}

/** Every token the same: windows of two predictions. */
const same = windowsOf([[0, 0, 0]]);

describe('CETT of §1.4', () => {
  const down = [
    [3, 1, 0],
    [4, 0, 2],
  ];
  const open = async (h: number[][], columns: number[][]) =>
    openSession(await testEngine(), lookup(h, columns), { batchWindows: 1 });

  it('gives the three values of the hand example', async () => {
    const session = await open([[0.1, 2, -0.5]], down);
    // Output norms 0.5, 2, 1: D = {1}, {1, 3}, all.
    const { cett, active } = await session.dense(outputNormRule, same, [[0.75, 1.5, 3]]);
    expect(cett[0]![0]![0]).toBeCloseTo(0.2103516, 6);
    expect(cett[0]![1]![0]).toBeCloseTo(0.2822163, 6);
    expect(cett[0]![2]![0]).toBeCloseTo(1, 6);
    expect(active[0]!.map((counts) => counts[0])).toEqual([4, 2, 0]);
    session.dispose();
  });

  it('stops before the first crossing where CETT falls again', async () => {
    // n1 = (0.3, 0.4), n2 = (2, 0), n3 = (-0.3, -0.45): dropping n1 alone is worse than n1 and n3 together.
    const columns = [
      [0.3, 2, -0.3],
      [0.4, 0, -0.45],
    ];
    const session = await open([[1, 1, 1]], columns);
    const n3 = Math.hypot(0.3, 0.45);
    const { exact } = await calibrate(session, same, 0.01);
    // At 0.1 only what is below n1 may go; at 0.3 the hump of n1 alone (0.25) is passed.
    expect((await exact(0.1)).thresholds[0]!).toBeLessThanOrEqual(0.5 * (1 + 1e-4));
    expect((await exact(0.3)).thresholds[0]!).toBeGreaterThan(n3);
    expect((await exact(0.3)).thresholds[0]!).toBeLessThanOrEqual(2 * (1 + 1e-4));
    session.dispose();
  });

  it('calls an all-zero FFN silent, not undefined', async () => {
    const session = await open([[0, 0, 0]], down);
    const { exact } = await calibrate(session, same, 0.01);
    const { thresholds, cett } = await exact(0.2);
    expect(thresholds[0]).toBeGreaterThan(0);
    expect(cett).toEqual([0]);
    const { active } = await session.masked(outputNormRule, same, [0]);
    expect(active[0]![0]).toBe(0);
    session.dispose();
  });

  it('measures a single neuron', async () => {
    const session = await open([[0.5], [2]], [[1], [1]]);
    const windows = windowsOf([[0, 1, 0, 1, 0]]);
    const { exact } = await calibrate(session, windows, 0.01);
    // Dropping the weak token's neuron is an error of 1 for half of the tokens.
    const half = Math.hypot(0.5, 0.5);
    expect((await exact(0.4)).thresholds[0]!).toBeLessThanOrEqual(half * (1 + 1e-4));
    expect((await exact(0.6)).thresholds[0]!).toBeGreaterThan(half);
    session.dispose();
  });
});

/** Random ids: cheap, and good enough where only invariances are asked for. */
function randomRows(count: number, length: number, vocab: number): number[][] {
  const random = generator(3);
  return Array.from({ length: count }, () => Array.from({ length }, () => Math.floor(random() * vocab)));
}

async function measureAll(
  m: ReturnType<typeof randomModel>,
  rows: number[][],
  settings: Setting[],
  batchWindows = 4,
) {
  const context = await contextOf(m, rows, { batchWindows });
  try {
    const parts = [];
    for (const setting of settings) {
      parts.push([{ context, outcome: await METRICS[setting.metric].measure(context, setting) }]);
    }
    return await summarise(settings, parts, { replicates: 50, seed: 0 });
  } finally {
    context.session.dispose();
  }
}

describe('invariances', () => {
  const m = randomModel({ act: 'relu', gated: true, layers: 2, ff: 24 });
  const rows = randomRows(6, 9, m.vocab);
  const settings: Setting[] = [
    { metric: 'zero' },
    { metric: 'cett', cett: 0.2 },
    { metric: 'fat', epsilon: 0 },
  ];

  it('does not depend on the batch size or the order of windows', async () => {
    const base = await measureAll(m, rows, settings, 4);
    for (const other of [
      await measureAll(m, rows, settings, 1),
      await measureAll(m, [...rows].reverse(), settings, 4),
    ]) {
      other.forEach((figures, i) => {
        expect(figures.layers.map((l) => l.activeCount)).toEqual(base[i]!.layers.map((l) => l.activeCount));
        expect(figures.perplexity.ratio).toBeCloseTo(base[i]!.perplexity.ratio, 6);
      });
    }
  });

  it('does not depend on the order of neurons, nor on computing a layer in parts', async () => {
    const permuted = { ...m, weights: { ...m.weights } };
    const order = Array.from({ length: m.ff }, (_, i) => (7 * i + 3) % m.ff).reverse();
    expect(new Set(order).size).toBe(m.ff);
    for (let layer = 0; layer < m.layers; layer++) {
      const name = (part: string) => `model.layers.${layer}.mlp.${part}.weight`;
      for (const part of ['gate_proj', 'up_proj']) {
        const rows = m.weights[name(part)]!;
        permuted.weights[name(part)] = Float32Array.from(rows, (_, at) => {
          const [i, d] = [Math.floor(at / m.width), at % m.width];
          return rows[order[i]! * m.width + d]!;
        });
      }
      const down = m.weights[name('down_proj')]!;
      permuted.weights[name('down_proj')] = Float32Array.from(
        down,
        (_, at) => down[Math.floor(at / m.ff) * m.ff + order[at % m.ff]!]!,
      );
    }
    const [base, other] = [await measureAll(m, rows, settings), await measureAll(permuted, rows, settings)];
    other.forEach((figures, i) => {
      expect(figures.layers.map((l) => l.activeCount)).toEqual(base[i]!.layers.map((l) => l.activeCount));
      expect(figures.perplexity.ratio).toBeCloseTo(base[i]!.perplexity.ratio, 6);
    });

    // The same layer by two products of half the neurons each, and a window at a time.
    const random = generator(9);
    const matrix = (count: number, width: number) =>
      Array.from({ length: count }, () => Array.from({ length: width }, () => random() - 0.5));
    const [h, down] = [matrix(5, 6), matrix(4, 6)];
    const whole = lookup(h, down);
    const halves: MeasuredModel = {
      ...whole,
      hiddenStates(p, tokens, tap) {
        const half = (x: Tensor, from: number) => slice(x, [0, from], [-1, 3]);
        const of = (from: number) => gather(half(p.h!, from), reshape(tokens, [-1]));
        const hidden = concat([of(0), of(3)], 1);
        const kept = tap ? tap(0, { gate: hidden, up: null, hidden, down: p.down! }) : hidden;
        const out = (from: number) => matMul(half(kept, from), half(p.down!, from), false, true);
        return add(out(0), out(3));
      },
    };
    const windows = windowsOf([
      [0, 1, 2, 3, 4],
      [4, 3, 2, 1, 0],
      [2, 2, 0, 1, 3],
    ]);
    const seen = [];
    for (const [model, batchWindows] of [
      [whole, 3],
      [halves, 1],
    ] as const) {
      const session = await openSession(await testEngine(), model, { batchWindows });
      const { exact } = await calibrate(session, windows, 0.01);
      const { thresholds } = await exact(0.3);
      const { loss, active } = await session.masked(outputNormRule, windows, thresholds);
      seen.push({ thresholds, loss: [...loss], active: [...active[0]!] });
      session.dispose();
    }
    const [one, two] = seen;
    expect(two!.active).toEqual(one!.active);
    expect(Math.abs(two!.thresholds[0]! / one!.thresholds[0]! - 1)).toBeLessThan(1e-4);
    two!.loss.forEach((value, w) => {
      expect(value).toBeCloseTo(one!.loss[w]!, 5);
    });
  });

  it('keeps no more neurons the more perplexity may rise', async () => {
    const figures = await measureAll(
      m,
      spoken(m, 8, 8),
      [0, 5, 60].map((pPercent) => ({ metric: 'pplp', pPercent })),
      8,
    );
    figures.slice(1).forEach((more, i) => {
      expect(more.activationRatio).toBeLessThanOrEqual(figures[i]!.activationRatio);
      expect(more.perplexity.ratio).toBeGreaterThanOrEqual(figures[i]!.perplexity.ratio);
    });
    expect(figures.at(-1)!.activationRatio).toBeLessThan(figures[0]!.activationRatio - 0.1);
  });

  it('finds fat at 0 and p = 0 to be the share of exact zeros, and the loss untouched', async () => {
    const [zero, fat, none] = await measureAll(m, rows, [
      { metric: 'zero' },
      { metric: 'fat', epsilon: 0 },
      { metric: 'pplp', pPercent: 0 },
    ]);
    expect(zero!.sparsity).toBeGreaterThan(0.2);
    expect(fat!.sparsity).toBe(zero!.sparsity);
    expect(zero!.gateZeroShare).toBeCloseTo(zero!.sparsity, 12);
    expect(none!.activationRatio).toBe(zero!.activationRatio);
    for (const figures of [zero, fat, none]) expect(figures!.perplexity.ratio).toBe(1);
  });

  it('masks nothing at threshold 0: the dense pass bit for bit', async () => {
    const session = await sessionOf(m, 4);
    const windows = windowsOf(rows);
    const { loss } = await session.masked(outputNormRule, windows, [0, 0]);
    const model = measured(m);
    const engine = await testEngine();
    const { parameters: params } = await uploadModel(engine, model);
    const plain = engine.compile(
      (state: typeof params, { x, y }: { x: ReturnType<typeof zeros>; y: ReturnType<typeof zeros> }) => ({
        loss: mean(reshape(model.losses(state, model.hiddenStates(state, x), y), [4, 8]), 1),
      }),
      { name: 'plain' },
    );
    const first = rows.slice(0, 4);
    const result = await plain.run(params, {
      x: tensor2d(
        first.map((r) => r.slice(0, 8)),
        [4, 8],
        'int32',
      ),
      y: reshape(
        tensor2d(
          first.map((r) => r.slice(1)),
          [4, 8],
          'int32',
        ),
        [32],
      ),
    });
    expect([...(await result.loss.data())]).toEqual([...loss.slice(0, 4)]);
    session.dispose();
  });
});
