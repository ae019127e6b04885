import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Evaluation, evaluationFileName } from '../../src/files/evaluation.js';
import { scoreGroup } from '../../src/report/evaluations.js';
import { writeReport } from '../../src/report/index.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-scores-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const mean = (value: number) => ({ mean: value, standardError: 0.02 });
type Results = Evaluation['tasks'][number]['results'];
const result = (setting: string, ratio: number, accuracy: number): Results[number] => ({
  setting,
  activationRatio: ratio,
  accuracy: mean(accuracy),
  accuracyUnnormalised: mean(accuracy),
  logLikelihood: mean(-9),
  difference:
    setting === 'dense'
      ? null
      : { accuracy: mean(accuracy - 0.7), logLikelihood: mean(-0.1), gained: 1, lost: 3 },
});

function evaluationOf(settingsHash: string, results: Results): Evaluation {
  return {
    schemaVersion: 1,
    checkpoint: 'pythia',
    checkpointSha256: 'f00d',
    runId: null,
    tokens: null,
    step: null,
    settings: results.map(({ setting }) => ({
      label: setting,
      metric: null,
      pPercent: null,
      settingsHash: null,
      activationRatio: null,
      perplexityRatio: null,
    })),
    tasks: [
      {
        name: 'piqa',
        path: 'piqa.jsonl',
        sha256: 'beef',
        format: 'piqa',
        kind: 'choice',
        items: 500,
        truncated: 0,
        results,
      },
    ],
    generations: [],
    work: [],
    bos: false,
    maxLength: 2048,
    settingsHash,
    engine: 'wasm',
    device: '',
    precision: 'float32',
    elapsedSeconds: 1,
  };
}
const first = evaluationOf('aa', [result('dense', 0.5, 0.7), result('PPL-1%', 0.2, 0.69)]);
const second = evaluationOf('bb', [result('dense', 0.5, 0.7), result('PPL-5%', 0.1, 0.64)]);

describe('scores in a report', () => {
  it('joins the files of one checkpoint and task, dense as the reference', () => {
    const { charts } = scoreGroup([first, second].map((evaluation) => ({ id: 'pythia', evaluation })));
    expect(charts).toHaveLength(1);
    const { spec, title, alt } = charts[0]!;
    expect(title).toBe('piqa: pythia');
    expect(alt).toContain('dense 70.0%');
    const { scores, dense } = spec.datasets as { scores: { setting: string }[]; dense: unknown[] };
    expect(scores.map(({ setting }) => setting)).toEqual(['PPL-1%', 'PPL-5%']);
    expect(dense).toEqual([{ accuracy: 0.7 }]);
  });

  it('leaves out a task that was evaluated dense alone', () => {
    const evaluation = evaluationOf('cc', [result('dense', 0.5, 0.7)]);
    expect(scoreGroup([{ id: 'pythia', evaluation }]).charts).toEqual([]);
  });

  it('finds evaluations by file and by folder, and names a broken one', async () => {
    const out = join(folder, 'page.html');
    const place = join(folder, 'evaluated');
    await mkdir(place);
    const path = join(place, evaluationFileName('pythia', 'aa'));
    await writeFile(path, JSON.stringify(first));
    for (const input of [path, place]) {
      expect((await writeReport({ inputs: [input], out, static: true })).charts).toEqual([
        'scores-pythia-piqa',
      ]);
      expect(await readFile(out, 'utf8')).toContain('Score against activation ratio');
    }
    await writeFile(path, JSON.stringify({ ...first, tasks: [{ name: 3 }] }));
    await expect(writeReport({ inputs: [place], out })).rejects.toThrow(/pythia\.evaluation\.aa\.json.*name/);
  });
});
