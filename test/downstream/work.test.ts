import { afterAll, describe, expect, it } from 'vitest';
import { openScorer } from '../../src/downstream/scorer.js';
import { countUnions, workOf } from '../../src/downstream/work.js';
import { disposeTree } from '../../src/engine/tree.js';
import { uploadModel } from '../../src/sparsity/evaluate.js';
import type { LoadedModel } from '../../src/sparsity/load.js';
import { outputNormRule } from '../../src/sparsity/rules.js';
import { measured, testEngine, windowsOf } from '../sparsity/harness.js';
import { columnNorms, type Drop, generator, randomModel, run } from '../sparsity/reference.js';

afterAll(async () => (await testEngine()).close());

const m = randomModel({ act: 'relu', gated: true, layers: 2, ff: 24 });
const model = measured(m);
const thresholds = [0.05, 0.1];
const masking = { rule: outputNormRule, thresholds };
const norms = thresholds.map((_, layer) => columnNorms(m, layer));
const drop: Drop = (layer, { h }) =>
  h.map((value, i) => Math.abs(value) * norms[layer]![i]! < thresholds[layer]!);
const random = generator(5);
const rowOf = (length: number) => Array.from({ length }, () => Math.floor(random() * m.vocab));

describe('unions', () => {
  it('count what the tokens of chunks and batches need, as a plain count does', async () => {
    // 35 windows: one batch of 32, three left out; 11 predictions: chunks of 2 leave one token out.
    const rows = Array.from({ length: 35 }, () => rowOf(12));
    const engine = await testEngine();
    const state = await uploadModel(engine, model);
    const unions = await countUnions(engine, model, state, windowsOf(rows), masking);
    disposeTree(state);
    const used = rows.slice(0, 32);
    const { neurons } = run(m, used, drop);
    /** [layer][window][token], the set of kept neurons. */
    const kept = neurons.map((tokens, layer) =>
      used.map((_, w) =>
        tokens.slice(w * 11, (w + 1) * 11).map((token) => {
          const dropped = drop(layer, token);
          return new Set(token.h.flatMap((value, i) => (value !== 0 && !dropped[i] ? [i] : [])));
        }),
      ),
    );
    const share = (groups: Set<number>[][]) =>
      groups.reduce((sum, sets) => sum + new Set(sets.flatMap((set) => [...set])).size, 0) /
      (groups.length * m.ff);
    expect(unions.chunk.map(({ size }) => size)).toEqual([1, 2, 4, 8]);
    for (const { size, neurons: ours } of unions.chunk) {
      const groups = kept.flatMap((windows) =>
        windows.flatMap((tokens) =>
          Array.from({ length: Math.floor(11 / size) }, (_, c) => tokens.slice(c * size, (c + 1) * size)),
        ),
      );
      expect(ours).toBeCloseTo(share(groups), 9);
    }
    expect(unions.batch.map(({ size }) => size)).toEqual([1, 2, 4, 8, 16, 32]);
    for (const { size, neurons: ours } of unions.batch) {
      const groups = kept.flatMap((windows) =>
        Array.from({ length: 32 / size }, (_, b) => windows.slice(b * size, (b + 1) * size)).flatMap((own) =>
          Array.from({ length: 11 }, (_, t) => own.map((tokens) => tokens[t]!)),
        ),
      );
      expect(ours).toBeCloseTo(share(groups), 9);
    }
    expect(unions.chunk[0]!.neurons).toBe(unions.batch[0]!.neurons);
    expect(unions.batch.at(-1)!.neurons).toBeGreaterThan(unions.batch[0]!.neurons);
  });
});

describe('work', () => {
  const unions = {
    chunk: [
      { size: 1, neurons: 0.25 },
      { size: 4, neurons: 0.5 },
    ],
    batch: [{ size: 1, neurons: 0.25 }],
  };
  it('counts three matrices with a gate, and spares one where h must be known', () => {
    const ffn = { width: 10, ff: 20, layerCount: 2, bytesPerWeight: 2 };
    const [alone, chunk, ...rest] = workOf('s', unions, { ...ffn, gated: true });
    expect(rest).toEqual([]);
    expect(alone!.flops).toEqual({ dense: 2400, all: 600, downOnly: 1800 });
    expect(alone!.bytes).toEqual({ dense: 2400, all: 600, downOnly: 1800 });
    // Four tokens load the weights once.
    expect(chunk!.bytes).toEqual({ dense: 600, all: 300, downOnly: 500 });
    expect(workOf('s', unions, { ...ffn, gated: false })[0]!.flops).toEqual({
      dense: 1600,
      all: 400,
      downOnly: 1000,
    });
  });
});

it('scores sequences of many lengths as a plain forward pass does', async () => {
  const rows = [2, 3, 9, 17, 18, 26, 33, 9, 40].map(rowOf);
  const engine = await testEngine();
  const state = await uploadModel(engine, model);
  const loaded = { model, mayPad: () => true } as unknown as LoadedModel;
  const scorer = openScorer(engine, loaded, { state, maxLength: 64 });
  const sequences = rows.map((ids) => ({ ids: Int32Array.from(ids), answer: ids.length - 1 }));
  const { scores, active, tokens } = await scorer.score(sequences, masking);
  expect(tokens).toBe(rows.reduce((sum, ids) => sum + ids.length - 1, 0));
  const counts = [0, 0];
  for (const [i, ids] of rows.entries()) {
    const { losses, active: own } = run(m, [ids], drop);
    expect(scores[i]!.logLikelihood).toBeCloseTo(-losses[0]! * (ids.length - 1), 3);
    own.forEach((count, layer) => {
      counts[layer]! += count;
    });
  }
  expect(active).toEqual(counts);
  // An answer is the end of the whole: its log-likelihood is the whole's without the rest's.
  const parts = await scorer.score(
    [
      { ids: sequences[5]!.ids, answer: 4 },
      { ids: sequences[5]!.ids.slice(0, -4), answer: 21 },
    ],
    masking,
  );
  const sum = parts.scores[0]!.logLikelihood + parts.scores[1]!.logLikelihood;
  expect(sum).toBeCloseTo(scores[5]!.logLikelihood, 3);
  // The likeliest continuation is found greedy, another one not.
  const { last } = parts.scores[0]!;
  const best = (final: number) =>
    scorer.score([{ ids: Int32Array.from([...rows[5]!.slice(0, -1), final]), answer: 1 }], masking);
  expect((await best(last)).scores[0]!.greedy).toBe(true);
  expect((await best((last + 1) % m.vocab)).scores[0]!.greedy).toBe(false);
  scorer.dispose();
  disposeTree(state);
});
