import { afterAll, describe, expect, it } from 'vitest';
import { PROFILE_NAMES, PROFILES, type ProfileName } from '../../src/files/profile.js';
import type { Outcome } from '../../src/sparsity/metrics/index.js';
import { PROFILE_MAKERS } from '../../src/sparsity/profiles/index.js';
import { outputNormRule } from '../../src/sparsity/rules.js';
import { contextOf, testEngine } from './harness.js';
import { columnNorms, type Drop, generator, mean, randomModel, run } from './reference.js';

afterAll(async () => (await testEngine()).close());

const m = randomModel({ act: 'relu', gated: true, layers: 2, ff: 12 });
const random = generator(5);
// Five windows in batches of two: the last batch is padded.
const rows = Array.from({ length: 5 }, () => Array.from({ length: 9 }, () => Math.floor(random() * m.vocab)));
const SEQ = 8;
const thresholds = [0.1, 0.2].map(Math.fround);
const outcome: Outcome = {
  rule: outputNormRule,
  thresholds,
  hasThresholds: true,
  status: 'ok',
  crossings: [],
};

/** Activity [layer][token][neuron] by the float64 reference. */
const active = (() => {
  const norms = [columnNorms(m, 0), columnNorms(m, 1)];
  const seen: boolean[][][] = [[], []];
  run(m, rows, (layer, { h }) => {
    const drop = h.map((v, i) => Math.abs(v) * norms[layer]![i]! < thresholds[layer]!);
    seen[layer]!.push(h.map((v, i) => v !== 0 && !drop[i]));
    return drop;
  });
  return seen;
})();
const share = (tokens: number[]) =>
  active.flatMap((layer) => tokens.flatMap((t) => layer[t]!)).filter(Boolean).length /
  (tokens.length * 2 * m.ff);

const profileRows = (name: ProfileName, ...of: Parameters<(typeof PROFILE_MAKERS)[ProfileName]['rows']>) =>
  PROFILE_MAKERS[name].rows(...of);

describe('profiles', () => {
  it('counts neurons, tokens, positions and chunks as the reference does', async () => {
    const context = await contextOf(m, rows, { batchWindows: 2 });
    const neurons = await profileRows('neurons', context, outcome);
    expect(neurons.map((row) => row.active_count)).toEqual(
      active.flatMap((layer) =>
        Array.from({ length: m.ff }, (_, i) => layer.filter((token) => token[i]).length),
      ),
    );
    const positions = await profileRows('positions', context, outcome);
    positions.forEach((row, t) => {
      expect(row.activation_ratio).toBeCloseTo(share(rows.map((_, w) => w * SEQ + t)), 12);
    });
    const inputs = rows.flatMap((row) => row.slice(0, SEQ));
    for (const row of await profileRows('tokens', context, outcome)) {
      const at = inputs.flatMap((id, t) => (id === row.token ? [t] : []));
      expect(row.count).toBe(at.length);
      expect(row.activation_ratio).toBeCloseTo(share(at), 12);
    }
    const chunks = await profileRows('chunks', context, outcome);
    const four = chunks.find((row) => row.layer === 1 && row.chunk_tokens === 4)!;
    let union = 0;
    for (let start = 0; start < inputs.length; start += 4) {
      for (let i = 0; i < m.ff; i++) {
        if (active[1]!.slice(start, start + 4).some((token) => token[i])) union++;
      }
    }
    expect(four.activation_ratio).toBeCloseTo(union / ((inputs.length / 4) * m.ff), 12);
    context.session.dispose();
  });

  it('gives every profile the columns it documents', async () => {
    const context = await contextOf(m, rows, { batchWindows: 5 });
    for (const name of PROFILE_NAMES) {
      const [first, ...rest] = await profileRows(name, context, outcome);
      expect(Object.keys(first!)).toEqual(PROFILES[name].columns.map((column) => column.name));
      expect(rest.length).toBeGreaterThan(0);
    }
    context.session.dispose();
  });

  it('sweeps arms of which each is what the reference makes of its parameter', async () => {
    const context = await contextOf(m, rows, { batchWindows: 5 });
    const sweep = await profileRows('pareto', context, outcome);
    const norms = [columnNorms(m, 0), columnNorms(m, 1)];
    const top = (scores: number[], ratio: number) => {
      const kth = [...scores].sort((a, b) => b - a)[Math.floor(ratio * m.ff + 0.5) - 1]!;
      return scores.map((score) => score < kth);
    };
    const output = (layer: number, h: number[]) => h.map((v, i) => Math.abs(v) * norms[layer]![i]!);
    const dropped: Record<string, (parameter: number) => Drop> = {
      zero:
        () =>
        (_, { h }) =>
          h.map(() => false),
      fat:
        (epsilon) =>
        (_, { s }) =>
          s.map((v) => Math.abs(v) < epsilon),
      global:
        (epsilon) =>
        (l, { h }) =>
          output(l, h).map((v) => v < epsilon),
      'topk-gate':
        (ratio) =>
        (_, { s }) =>
          top(s.map(Math.abs), ratio),
      'topk-output':
        (ratio) =>
        (l, { h }) =>
          top(output(l, h), ratio),
    };
    const base = mean(run(m, rows).losses);
    for (const [arm, drop] of Object.entries(dropped)) {
      const own = sweep.filter((row) => row.arm === arm);
      expect(own.length).toBeGreaterThan(arm === 'zero' ? 0 : 5);
      for (const { parameter, activation_ratio, loss_sparse_nats_per_token, ppl_ratio } of own) {
        const { losses, active: kept } = run(m, rows, drop(Number(parameter)));
        const tokens = rows.length * SEQ;
        expect(activation_ratio).toBeCloseTo(mean(kept.map((count) => count / (tokens * m.ff))), 6);
        expect(loss_sparse_nats_per_token).toBeCloseTo(mean(losses), 5);
        expect(ppl_ratio).toBeCloseTo(Math.exp(mean(losses) - base), 5);
      }
    }
    // One share in every layer: what the dense activations keep, not what was asked for, is checked.
    const pooled = sweep.filter((row) => String(row.arm).startsWith('topk-layer-'));
    expect(pooled.length).toBeGreaterThan(10);
    for (const row of pooled) {
      expect(Math.abs(Number(row.activation_ratio) - Number(row.parameter))).toBeLessThan(0.1);
    }
    const cett = sweep.filter((row) => row.arm === 'cett');
    expect(cett).toEqual(
      (await profileRows('cett', context, outcome)).map(({ cett: parameter, ...rest }) => ({
        arm: 'cett',
        parameter,
        ...rest,
      })),
    );
    context.session.dispose();
  });
});
