import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluateCheckpoint } from '../../src/downstream/evaluate.js';
import type { Evaluation } from '../../src/files/evaluation.js';

const fixtures = resolve(import.meta.dirname, '../../fixtures/downstream');
const TASKS = ['piqa-style', 'hellaswag-style', 'lambada-style'];

interface Figures {
  accuracy: number;
  standardError: number;
  accuracyNormalised: number | null;
  standardErrorNormalised: number | null;
  logLikelihoods: number[][];
}
type Golden = Record<'dense' | 'sparse', Record<string, Figures>>;
const golden = JSON.parse(await readFile(join(fixtures, 'lm-eval.json'), 'utf8')) as Golden;

let folder: string;
let evaluation: Evaluation;
let samples: { task: string; setting: string; log_likelihoods: number[] }[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-lm-eval-'));
  const file = join(folder, 'samples.jsonl');
  const ended = await evaluateCheckpoint(join(fixtures, 'checkpoint'), {
    tasks: TASKS.map((name) => join(fixtures, 'tasks', `${name}.jsonl`)),
    prompts: [],
    maxNewTokens: 1,
    work: false,
    p: [],
    from: [join(fixtures, 'measurement.json')],
    bos: 'auto',
    samples: file,
    engine: 'wasm',
    engineOptions: {},
  });
  evaluation = ended.evaluation;
  samples = (await readFile(file, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Name of the setting in our files. */
const SETTINGS = [
  ['dense', 'dense'],
  ['sparse', 'PPL-20%'],
] as const;

describe.each(SETTINGS)('lm-evaluation-harness, %s', (side, setting) => {
  it.each(TASKS)('%s: the same log-likelihoods to 1e-3', (name) => {
    const ours = samples.filter((row) => row.task === name && row.setting === setting);
    const theirs = golden[side][name]!.logLikelihoods;
    expect(ours.map((row) => row.log_likelihoods.length)).toEqual(theirs.map((row) => row.length));
    const worst = theirs
      .flat()
      .reduce(
        (most, value, i) => Math.max(most, Math.abs(value - ours.flatMap((r) => r.log_likelihoods)[i]!)),
        0,
      );
    expect(worst).toBeLessThan(1e-3);
  });

  it.each(TASKS)('%s: the same scores and standard errors', (name) => {
    const task = evaluation.tasks.find((own) => own.name === name)!;
    const { accuracy, accuracyUnnormalised } = task.results.find((own) => own.setting === setting)!;
    const theirs = golden[side][name]!;
    const raw = accuracyUnnormalised ?? accuracy;
    expect(raw.mean).toBeCloseTo(theirs.accuracy, 10);
    expect(raw.standardError).toBeCloseTo(theirs.standardError, 10);
    if (theirs.accuracyNormalised !== null) {
      expect(accuracy.mean).toBeCloseTo(theirs.accuracyNormalised, 10);
      expect(accuracy.standardError).toBeCloseTo(theirs.standardErrorNormalised!, 10);
    }
  });
});

it('compares settings item by item', () => {
  for (const task of evaluation.tasks) {
    const [dense, sparse] = task.results;
    expect(dense!.difference).toBeNull();
    const { accuracy, gained, lost } = sparse!.difference!;
    expect(accuracy.mean).toBeCloseTo(sparse!.accuracy.mean - dense!.accuracy.mean, 12);
    expect(accuracy.mean * task.items).toBeCloseTo(gained - lost, 10);
    expect(sparse!.activationRatio).toBeLessThan(dense!.activationRatio);
  }
  // Some item changes sides, or the comparison would show nothing.
  expect(evaluation.tasks.some(({ results }) => results[1]!.difference!.lost > 0)).toBe(true);
});

it('says which contexts were cut', () => {
  expect(evaluation.tasks.map(({ truncated }) => truncated)).toEqual([0, 0, 1]);
});
