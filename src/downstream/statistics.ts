import type { Mean, TaskResult } from '../files/evaluation.js';
import type { Score } from './scorer.js';
import type { Task } from './tasks.js';

/** What one setting gave on one item. */
export interface ItemOutcome {
  line: number;
  /** Of each answer, in nats. */
  logLikelihoods: number[];
  /** Right by log-likelihood per character, or by greedy decoding. */
  right: boolean;
  /** Right by log-likelihood as it is; the same as `right` for a last word. */
  rightUnnormalised: boolean;
  /** Of the right answer. */
  logLikelihood: number;
}

/** Place of the largest value; the first of equals. */
const largest = (values: readonly number[]): number =>
  values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);

/** @param scores in order of items and answers */
export function outcomesOf(task: Task, scores: readonly Score[]): ItemOutcome[] {
  let next = 0;
  return task.items.map(({ line, answers, lengths, label }) => {
    const own = scores.slice(next, next + answers.length);
    next += answers.length;
    const logLikelihoods = own.map(({ logLikelihood }) => logLikelihood);
    const perCharacter = logLikelihoods.map((value, i) => value / lengths[i]!);
    const isLastWord = task.kind === 'last-word';
    return {
      line,
      logLikelihoods,
      right: isLastWord ? own[0]!.greedy : largest(perCharacter) === label,
      rightUnnormalised: isLastWord ? own[0]!.greedy : largest(logLikelihoods) === label,
      logLikelihood: logLikelihoods[label]!,
    };
  });
}

/** Mean and its standard error, the sample deviation over √n (as lm-evaluation-harness has it). */
export function meanOf(values: readonly number[]): Mean {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n < 2) return { mean, standardError: null };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, standardError: Math.sqrt(squares / (n - 1) / n) };
}

const asNumber = (flag: boolean) => (flag ? 1 : 0);

/** The figures of a setting; `dense` are the same items' outcomes to compare with, null for dense itself. */
export function resultOf(
  task: Pick<Task, 'kind'>,
  outcomes: readonly ItemOutcome[],
  dense: readonly ItemOutcome[] | null,
): Omit<TaskResult, 'setting' | 'activationRatio'> {
  const right = outcomes.map((item) => asNumber(item.right));
  return {
    accuracy: meanOf(right),
    accuracyUnnormalised:
      task.kind === 'choice' ? meanOf(outcomes.map((item) => asNumber(item.rightUnnormalised))) : null,
    logLikelihood: meanOf(outcomes.map((item) => item.logLikelihood)),
    difference: dense && differenceOf(outcomes, dense),
  };
}

function differenceOf(
  outcomes: readonly ItemOutcome[],
  dense: readonly ItemOutcome[],
): TaskResult['difference'] {
  const steps = outcomes.map((item, i) => asNumber(item.right) - asNumber(dense[i]!.right));
  return {
    accuracy: meanOf(steps),
    logLikelihood: meanOf(outcomes.map((item, i) => item.logLikelihood - dense[i]!.logLikelihood)),
    gained: steps.filter((step) => step > 0).length,
    lost: steps.filter((step) => step < 0).length,
  };
}
