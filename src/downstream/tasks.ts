import { basename, extname } from 'node:path';
import { z } from 'zod';
import { inputError } from '../errors.js';
import { KIND_OF_FORMAT, TASK_FORMATS, type TaskFormat } from '../files/task.js';
import { sha256File } from '../io/hash.js';
import { checkValue } from '../io/json.js';
import { readJsonl } from '../io/jsonl.js';
import { printable } from '../io/printable.js';

/** One item: a context, and the answers that may follow it. */
export interface TaskItem {
  /** Line in its file, from 1. */
  line: number;
  context: string;
  /** What is appended to the context, the blank between them included. One answer for a last word. */
  answers: string[];
  /** Characters of each answer without that blank: what its log-likelihood is divided by. */
  lengths: number[];
  /** The right answer. */
  label: number;
}

export interface Task {
  name: string;
  path: string;
  sha256: string;
  format: TaskFormat;
  kind: 'choice' | 'last-word';
  items: TaskItem[];
}

type Line<F extends TaskFormat> = z.output<(typeof TASK_FORMATS)[F]>;
type Parts = Pick<TaskItem, 'context' | 'label'> & { answers: string[] };

const choice = (context: string, answers: string[], label: number): Parts => ({ context, answers, label });

/** HellaSwag's clean-up of WikiHow's marks, as lm-evaluation-harness has it. */
const withoutMarks = (text: string) =>
  text
    .trim()
    .replaceAll(' [title]', '. ')
    .replace(/\[.*?\]/g, '')
    .replaceAll('  ', ' ');
/** Python's `capitalize`: the rest in lower case. */
const capitalised = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1).toLowerCase();

/** A line of each format as context and answers; prompts as in lm-evaluation-harness (piqa, hellaswag, lambada). */
const READERS: { [F in TaskFormat]: (line: Line<F>) => Parts } = {
  piqa: ({ goal, sol1, sol2, label }) => choice(`Question: ${goal}\nAnswer:`, [sol1, sol2], label),
  hellaswag: ({ activity_label, ctx_a, ctx_b, endings, label }) =>
    choice(
      withoutMarks(`${activity_label}: ${ctx_a} ${capitalised(ctx_b)}`),
      endings.map(withoutMarks),
      label,
    ),
  choices: ({ context, choices, label }) => choice(context, choices, label),
  target: ({ context, target }) => choice(context, [target], 0),
  lambada: ({ text }) => {
    const words = text.trimEnd().split(' ');
    return choice(words.slice(0, -1).join(' '), [words.at(-1)!], 0);
  },
};

/**
 * Reads a task file: JSON lines of one format, told by the keys of the first.
 * @param limit reads only the first so many items
 * @throws SparselawError (status 3) naming file, line and what is wrong
 */
export async function readTask(path: string, limit?: number): Promise<Task> {
  const { rows, lines, torn } = await readJsonl(path, z.looseObject({}));
  if (torn !== undefined) {
    throw inputError(`${printable(path)}: the last line is no JSON.`, { code: 'bad-json' });
  }
  if (rows.length === 0) throw inputError(`${printable(path)} holds no items.`, { code: 'empty-file' });
  const format = formatOf(rows[0]!, `${path}, line ${lines[0]}`);
  const kept = rows.slice(0, limit);
  const items = kept.map((row, i) => readItem(format, row, lines[i]!, `${path}, line ${lines[i]}`));
  return {
    name: basename(path, extname(path)),
    path,
    sha256: await sha256File(path),
    format,
    kind: KIND_OF_FORMAT[format],
    items,
  };
}

function formatOf(row: object, where: string): TaskFormat {
  const formats = Object.entries(TASK_FORMATS) as [TaskFormat, (typeof TASK_FORMATS)[TaskFormat]][];
  const found = formats.find(([, { shape }]) => Object.keys(shape).every((key) => key in row));
  if (found) return found[0];
  const known = formats.map(([name, { shape }]) => `${name} {${Object.keys(shape).join(', ')}}`).join('; ');
  throw inputError(
    `${where}: the keys ${printable(Object.keys(row).join(', ') || 'none')} are of no known format.`,
    {
      code: 'unknown-task',
      suggestions: [`Formats: ${known}.`],
    },
  );
}

function readItem(format: TaskFormat, row: unknown, line: number, where: string): TaskItem {
  const checked = checkValue(row, TASK_FORMATS[format], where);
  const { context, answers, label } = (READERS[format] as (line: unknown) => Parts)(checked);
  if (label >= answers.length) {
    throw inputError(
      `${where}: label ${label} names none of ${answers.length} answers (they count from 0).`,
      {
        code: 'bad-value',
      },
    );
  }
  return {
    line,
    context,
    answers: answers.map((answer) => ` ${answer}`),
    lengths: answers.map((answer) => [...answer].length),
    label,
  };
}
