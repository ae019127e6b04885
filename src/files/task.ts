import { z } from 'zod';

/** Formats of the lines of a task file, by name: what each line must hold. */
const text = z.string();
const filled = text.regex(/\S/, 'must not be empty');
/** The number of the right answer, from 0; HellaSwag's files write it as text. */
const label = z.union([z.int().nonnegative(), z.string().regex(/^\d+$/).transform(Number)]);

export const TASK_FORMATS = {
  piqa: z.looseObject({ goal: filled, sol1: filled, sol2: filled, label }),
  hellaswag: z.looseObject({
    activity_label: text,
    ctx_a: filled,
    ctx_b: text,
    endings: z.array(filled).min(2),
    label,
  }),
  choices: z.looseObject({ context: filled, choices: z.array(filled).min(2), label }),
  target: z.looseObject({ context: filled, target: filled }),
  lambada: z.looseObject({ text: text.regex(/\S \S/, 'must hold two words at least') }),
} as const;
export type TaskFormat = keyof typeof TASK_FORMATS;

/** `choice`: the most likely of several answers. `last-word`: whether greedy decoding gives the one answer. */
export const KIND_OF_FORMAT: Readonly<Record<TaskFormat, 'choice' | 'last-word'>> = {
  piqa: 'choice',
  hellaswag: 'choice',
  choices: 'choice',
  target: 'last-word',
  lambada: 'last-word',
};
