import { describe, expect, it } from 'vitest';
import { checkpointSteps } from '../../src/training/checkpoint-schedule.js';
import { learningRateAt, phaseAt, type ScheduleConfig } from '../../src/training/schedule.js';

const base: ScheduleConfig = {
  schedule: 'wsd',
  tokens: 1000,
  batchTokens: 10,
  learningRate: 0.5,
  warmup: 100,
  decay: 200,
  decayShape: 'linear',
  decayHalfLife: 50,
  learningRateFloor: 0.1,
};
const rates = (changes: Partial<ScheduleConfig>, steps: number[]) =>
  steps.map((step) => learningRateAt({ ...base, ...changes }, step));

describe('learningRateAt', () => {
  it('warms up linearly, stays, and decays linearly to the floor', () => {
    // Step 9 ends at token 100, the end of warm-up; step 99 ends the run.
    expect(rates({}, [0, 4, 9, 10, 79, 89, 99])).toEqual([0.05, 0.25, 0.5, 0.5, 0.5, 0.275, 0.05].map(near));
  });

  it("halves as the paper's decay does", () => {
    // 0.5^((t − start)/H) with t − start = 50, 100, 200 tokens and H = 50.
    expect(rates({ decayShape: 'halving' }, [79, 84, 89, 99])).toEqual([0.5, 0.25, 0.125, 0.03125].map(near));
  });

  it('follows half a cosine to the floor', () => {
    // Half way between tokens 100 and 1000 lies step 54; the mean of peak and floor.
    expect(rates({ schedule: 'cosine' }, [9, 54, 99])).toEqual([0.5, 0.275, 0.05].map(near));
  });

  it('stays constant after warm-up, and from the first step without', () => {
    expect(rates({ schedule: 'constant' }, [0, 9, 99])).toEqual([0.05, 0.5, 0.5].map(near));
    expect(rates({ schedule: 'constant', warmup: 0 }, [0, 99])).toEqual([0.5, 0.5]);
  });

  it('names the phases', () => {
    expect([0, 100, 110, 800, 810, 1000].map((tokens) => phaseAt(base, tokens))).toEqual([
      'warmup',
      'warmup',
      'stable',
      'stable',
      'decay',
      'decay',
    ]);
    expect(phaseAt({ ...base, schedule: 'cosine' }, 110)).toBe('decay');
    expect(phaseAt({ ...base, schedule: 'constant' }, 1000)).toBe('stable');
  });
});

const near = (value: number) => expect.closeTo(value, 12);

describe('checkpointSteps', () => {
  const run = { tokens: 1_000_000, batchTokens: 1000 };
  it.each([
    ['every:250k', [250, 500, 750, 1000]],
    ['1k,2k,500k', [1, 2, 500, 1000]],
    ['0,0.5M', [0, 500, 1000]],
    ['log:1k..1M:4', [1, 10, 100, 1000]],
    ['log:10k..1M:3 + every:500k + 10k', [10, 100, 500, 1000]],
    // Rounded to steps, then without repetition; less than a step is the first, not the random weights.
    ['1,100,999,1001,1400', [1, 1000]],
    // Shares of the run, and the 1 that ends a range.
    ['linear:0.25..1:4', [250, 500, 750, 1000]],
    ['log:0.001..0.1:3+linear:0.5..1:2', [1, 10, 100, 500, 1000]],
    ['every:0.1', [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]],
    ['0,0.5', [0, 500, 1000]],
    // Beyond the run: left out, the end always there.
    ['2M', [1000]],
    ['every:2M', [1000]],
  ])('%s', (schedule, steps) => {
    expect(checkpointSteps(schedule, run)).toEqual(steps);
  });

  it.each([
    'log:1M:4',
    'log:0..1M:4',
    'log:2M..1M:4',
    'log:1..2:1',
    'every:0',
    'every:',
    'every:x',
    '1M,,2M',
    '-1',
    '1.5',
    '',
    'every:1+',
    'linear:0.5:4',
    'linear:0.5..0.25:4',
    'log:1..1M:1e9',
  ])('refuses %j, quoting it, with status 2', (schedule) => {
    expect(() => checkpointSteps(schedule, run)).toThrow(
      expect.objectContaining({ exitStatus: 2, message: expect.stringContaining('checkpoints: "') }),
    );
  });
});
