import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type Evaluation,
  evaluationSchema,
  isEvaluationFileName,
  type TaskResult,
} from '../files/evaluation.js';
import { runPaths } from '../files/run.js';
import { readJson } from '../io/json.js';
import { groupBy } from '../table/group-by.js';
import { compareText } from '../table/measurement-files.js';
import type { ChartGroup } from './chart-groups.js';
import { checkpointLabel } from './charts/layer-heatmap.js';
import { type ScoreRow, taskScores } from './charts/task-scores.js';
import { compareNatural } from './format.js';

export interface EvaluationSource {
  /** The run, or the folder of a foreign checkpoint. */
  id: string;
  /** What the page calls it; the id where nothing is said. */
  name?: string;
  evaluation: Evaluation;
}

/** Evaluations of a run, or those that lie in a folder itself. @throws SparselawError (status 3) for a broken one */
export async function readEvaluations(folder: string): Promise<EvaluationSource[]> {
  const found: EvaluationSource[] = [];
  for (const place of [folder, runPaths(folder).evaluation]) {
    const names = await readdir(place).catch(() => []);
    for (const name of names.filter(isEvaluationFileName).sort(compareText)) {
      found.push(evaluationSource(await readJson(join(place, name), evaluationSchema), basename(folder)));
    }
  }
  return found;
}

export const evaluationSource = (evaluation: Evaluation, fallback: string): EvaluationSource => ({
  id: evaluation.runId ?? (evaluation.tokens === null ? evaluation.checkpoint : fallback),
  evaluation,
});

/** Charts of tasks that were evaluated at a sparse setting; files of one checkpoint and task are joined. */
export function scoreGroup(sources: readonly EvaluationSource[]): ChartGroup {
  const panels = sources.flatMap(({ id, name = id, evaluation }) =>
    evaluation.tasks.map((task) => ({ id, name, evaluation, task })),
  );
  const joined = groupBy(panels, ({ evaluation, task }) =>
    JSON.stringify([evaluation.checkpointSha256, task.name, task.sha256, task.items]),
  );
  const charts = [...joined.values()].flatMap((own) => {
    const { id, name, evaluation, task } = own[0]!;
    const results = own.flatMap((panel) => panel.task.results);
    const dense = results.find(({ difference }) => difference === null);
    const sparse = new Map(results.filter(({ difference }) => difference).map((r) => [r.setting, r]));
    if (!dense || sparse.size === 0) return [];
    const at =
      evaluation.tokens === null ? '' : ` at ${checkpointLabel(evaluation.tokens, evaluation.checkpoint)}`;
    return [
      taskScores({
        name: `scores-${slug(`${id}-${task.name}`)}`,
        title: `${task.name}: ${name}${at}`,
        items: task.items,
        rows: [...sparse.values()].map(rowOf),
        dense: { activationRatio: dense.activationRatio, accuracy: dense.accuracy.mean },
      }),
    ];
  });
  return {
    id: 'scores',
    title: 'Score against activation ratio',
    intro:
      'Multiple choice by log-likelihood per character, last words by greedy decoding. Perplexity may stay while a task suffers, so both are shown.',
    charts: charts.sort((a, b) => compareNatural(a.title, b.title)),
  };
}

function rowOf({ setting, activationRatio, accuracy, difference }: TaskResult): ScoreRow {
  const { mean, standardError } = accuracy;
  return {
    setting,
    activationRatio,
    accuracy: mean,
    low: standardError === null ? null : mean - standardError,
    high: standardError === null ? null : mean + standardError,
    difference: difference?.accuracy.mean ?? null,
    differenceError: difference?.accuracy.standardError ?? null,
  };
}

const slug = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 60);
