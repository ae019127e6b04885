import { describe, expect, it } from 'vitest';
import { type Config, resolveConfig, shapeOf } from '../../src/config.js';
import { openCpu } from '../../src/engine/cpu.js';
import { parameterShapes } from '../../src/model/parameters.js';
import { createTrainer, type HostState } from '../../src/training/loop.js';
import { layoutFor } from '../../src/training/step.js';
import { freshState } from '../../src/training/train.js';
import { TINY } from './corpus.js';

const configOf = (changes: Partial<Config>): Config =>
  resolveConfig({ flags: { ...TINY, data: 'none', layers: 2, clip: 0.5, ...changes }, corpusVocabSize: 32 });

/** Trains some steps on the reference engine, its state laid out separately or flat. */
async function trained(config: Config, prefersFewOps: boolean) {
  const engine = { ...(await openCpu({})), prefersFewOps };
  const before = engine.memory().liveTensors;
  const losses: number[] = [];
  const rows = config.batchTokens / config.seqLen;
  const trainer = createTrainer({
    engine,
    config,
    data: {
      batch: (index: number) => Int32Array.from({ length: rows * 9 }, (_, i) => (i * 7 + index * 3) % 32),
      validation: { seqLen: 8, count: 2, read: (_: number, count: number) => new Int32Array(count * 9) },
      validationBytesPerToken: 1,
    } as never,
    state: freshState(config),
    step: 0,
    steps: 5,
    onReport: ({ loss }) => losses.push(loss),
  });
  for (let i = 0; i < 5; i++) await trainer.advance();
  await trainer.drain();
  const { lossNatsPerToken } = await trainer.validate();
  const state = await (await trainer.capture()).host;
  trainer.dispose();
  expect(engine.memory().liveTensors).toBe(before);
  return { losses, state, lossNatsPerToken };
}

describe('flat state', () => {
  it.each([{}, { accumulate: 2 }, { mup: {} }, { weightDecayOn: 'all' }] as Partial<Config>[])(
    'trains to the same weights and moments as one tensor a parameter, %j',
    async (changes) => {
      const config = configOf(changes);
      const [separate, flat] = [await trained(config, false), await trained(config, true)];
      expect(flat.losses).toHaveLength(5);
      flat.losses.forEach((loss, i) => {
        expect(loss / separate.losses[i]!).toBeCloseTo(1, 6);
      });
      expect(flat.lossNatsPerToken / separate.lossNatsPerToken).toBeCloseTo(1, 6);
      for (const group of ['parameters', 'firstMoment', 'secondMoment'] satisfies (keyof HostState)[]) {
        expect(Object.keys(flat.state[group])).toEqual(Object.keys(separate.state[group]));
        for (const [name, values] of Object.entries(separate.state[group])) {
          const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const worst = values.reduce(
            (most, value, i) => Math.max(most, Math.abs(value - flat.state[group][name]![i]!)),
            0,
          );
          expect(worst, `${group} of ${name}`).toBeLessThanOrEqual(2e-5 * scale);
        }
      }
    },
  );

  it('has one tensor for each decay and learning rate factor', async () => {
    const engine = { ...(await openCpu({})), prefersFewOps: true };
    const config = configOf({ mup: {} as Config['mup'] });
    const layout = layoutFor(engine, config);
    const tensors = layout.upload(engine, freshState(config).parameters);
    const total = Object.values(parameterShapes(shapeOf(config))).reduce(
      (sum, shape) => sum + shape.reduce((product, n) => product * n, 1),
      0,
    );
    expect(Object.values(tensors).reduce((sum, tensor) => sum + tensor.size, 0)).toBe(total);
    const kinds = Object.keys(tensors).map((name) => [
      layout.optimiser.decays(name),
      layout.optimiser.learningRateFactor(name),
    ]);
    expect(new Set(kinds.map(String)).size).toBe(kinds.length);
    for (const tensor of Object.values(tensors)) tensor.dispose();
  });
});
