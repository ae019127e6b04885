import { tensor, tidy } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveConfig } from '../../src/config.js';
import { type Engine, openEngine } from '../../src/engine/index.js';
import { isMatrix } from '../../src/model/parameters.js';
import { type AdamwOptions, adamwStep, biasCorrections } from '../../src/training/adamw.js';
import { adamwOptions, lossAndGradients } from '../../src/training/step.js';
import { batchOf, readGolden, readInitial, worstDifference } from '../model/golden.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('cpu');
});
afterAll(() => engine.close());

const plain: AdamwOptions = {
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0,
  clip: 0,
  decays: () => true,
  learningRateFactor: () => 1,
};

/** AdamW on one vector in double, written from the paper's algorithm without looking at ours. */
function reference(
  p: number[],
  gradients: number[][],
  { beta1, beta2, epsilon, weightDecay }: AdamwOptions,
  rate: number,
) {
  let [m, v] = [p.map(() => 0), p.map(() => 0)];
  let weights = p;
  gradients.forEach((g, i) => {
    m = m.map((value, j) => beta1 * value + (1 - beta1) * g[j]!);
    v = v.map((value, j) => beta2 * value + (1 - beta2) * g[j]! ** 2);
    weights = weights.map((w, j) => {
      const mHat = m[j]! / (1 - beta1 ** (i + 1));
      const vHat = v[j]! / (1 - beta2 ** (i + 1));
      return w - rate * weightDecay * w - (rate * mHat) / (Math.sqrt(vHat) + epsilon);
    });
  });
  return weights;
}

function ours(p: number[], gradients: number[][], options: AdamwOptions, rate: number) {
  return tidy(() => {
    const zeros = tensor(p.map(() => 0));
    let state: Parameters<typeof adamwStep>[0] = {
      parameters: { w: tensor(p) },
      firstMoment: { w: zeros },
      secondMoment: { w: zeros },
    };
    let norm = 0;
    gradients.forEach((g, i) => {
      const { firstCorrection, secondCorrection } = biasCorrections(i + 1, options);
      const scalars = {
        learningRate: tensor(rate),
        firstCorrection: tensor(firstCorrection),
        secondCorrection: tensor(secondCorrection),
      };
      const next = adamwStep(state, { w: tensor(g) }, scalars, options);
      state = next.state;
      norm = next.gradientNorm.dataSync()[0]!;
    });
    return { weights: [...state.parameters.w!.dataSync()], norm };
  });
}

describe('adamwStep', () => {
  const p = [1, -2, 0.5];
  const gradients = [
    [0.1, 3, 0],
    [-0.2, 1, 0],
    [0.4, -2, 0],
  ];

  it.each([0, 0.3])('equals the algorithm in double, weight decay %d', (weightDecay) => {
    const options = { ...plain, weightDecay };
    const expected = reference(p, gradients, options, 0.05);
    ours(p, gradients, options, 0.05).weights.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 6);
    });
  });

  it('moves by the learning rate at first, whatever the gradient, and by its group factor', () => {
    const [first] = [ours([0], [[1e-3]], plain, 0.05).weights];
    expect(first![0]).toBeCloseTo(-0.05, 5);
    const slow = ours([0], [[1e-3]], { ...plain, learningRateFactor: () => 0.25 }, 0.05).weights;
    expect(slow[0]).toBeCloseTo(-0.0125, 6);
  });

  it('clips by the global norm and reports the norm before', () => {
    const huge = [[30, 40]];
    const clipped = ours([1, 1], huge, { ...plain, clip: 5, epsilon: 1 }, 0.1);
    expect(clipped.norm).toBeCloseTo(50, 4);
    // A gradient of exactly [3, 4] has norm 5: what clipping makes of [30, 40].
    const expected = reference([1, 1], [[3, 4]], { ...plain, epsilon: 1 }, 0.1);
    clipped.weights.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 5);
    });
    expect(ours([1, 1], [[0, 0]], { ...plain, clip: 5 }, 0.1).weights).toEqual([1, 1]);
  });
});

describe('ten steps against torch.optim.AdamW (fixtures/parity)', () => {
  it.each(['relu-tied', 'silu-untied'])('%s', async (name) => {
    const golden = await readGolden(name);
    const { optimiser, shape } = golden;
    const dims = new Map([...(await readInitial())].map(([key, value]) => [key, value]));
    const names = [...golden.tensors.keys()]
      .filter((key) => key.startsWith('final.'))
      .map((key) => key.slice('final.'.length));
    expect(names.length).toBeGreaterThan(0);
    const options: AdamwOptions = {
      ...plain,
      ...optimiser,
      decays: (key) => isMatrix(dims.get(key)!.shape),
    };
    const worst = tidy(() => {
      const zeros = () =>
        Object.fromEntries(
          names.map((key) => [
            key,
            tensor(new Float32Array(dims.get(key)!.data.length), dims.get(key)!.shape),
          ]),
        );
      let state: Parameters<typeof adamwStep>[0] = {
        parameters: Object.fromEntries(
          names.map((key) => [key, tensor(dims.get(key)!.data, dims.get(key)!.shape)]),
        ),
        firstMoment: zeros(),
        secondMoment: zeros(),
      };
      golden.learningRates.forEach((rate, step) => {
        const rows = golden.tokens[step]!;
        const { loss, gradients } = lossAndGradients(
          shape,
          state.parameters,
          tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length], 'int32'),
        );
        expect(batchOf(golden, step).inputs.length).toBe(rows.length * (rows[0]!.length - 1));
        const { firstCorrection, secondCorrection } = biasCorrections(step + 1, options);
        const next = adamwStep(
          state,
          gradients,
          {
            learningRate: tensor(rate),
            firstCorrection: tensor(firstCorrection),
            secondCorrection: tensor(secondCorrection),
          },
          options,
        );
        expect(loss.dataSync()[0]).toBeCloseTo(golden.losses[step]!, 4);
        expect(next.gradientNorm.dataSync()[0]).toBeCloseTo(golden.gradientNorms[step]!, 3);
        state = next.state;
      });
      return Object.fromEntries(
        names.map((key) => [
          key,
          worstDifference(state.parameters[key]!.dataSync(), golden.tensors.get(`final.${key}`)!.data),
        ]),
      );
    });
    // float32 rounding through ten steps, relative to each tensor's largest weight.
    for (const [key, difference] of Object.entries(worst)) expect(difference, key).toBeLessThan(1e-3);
  });
});

describe('adamwOptions', () => {
  const config = (changes: Record<string, unknown>) =>
    resolveConfig({ flags: { data: 'x', width: 512, ...changes }, corpusVocabSize: 8 });
  const hidden = 'model.layers.0.mlp.up_proj.weight';
  const norm = 'model.norm.weight';

  it('decays matrices, or everything as the paper does', () => {
    const matrices = adamwOptions(config({}));
    expect([matrices.decays(hidden), matrices.decays(norm)]).toEqual([true, false]);
    expect(adamwOptions(config({ weightDecayOn: 'all' })).decays(norm)).toBe(true);
  });

  it('slows hidden matrices by width / widthBase under μP alone', () => {
    const mup = adamwOptions(config({ mup: {} }));
    const names = [hidden, norm, 'model.embed_tokens.weight'];
    expect(names.map((name) => mup.learningRateFactor(name))).toEqual([0.5, 1, 1]);
    expect(names.map((name) => adamwOptions(config({})).learningRateFactor(name))).toEqual([1, 1, 1]);
  });
});
