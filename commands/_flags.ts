import { Flags } from '@oclif/core';
import { DEVICES, ENGINE_CHOICES, PRECISIONS } from '../src/engine/index.js';
import { usageError } from '../src/errors.js';

const SUFFIXES: Record<string, number> = { k: 1e3, M: 1e6, B: 1e9 };

function parseNumber(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw usageError(`--${name}: "${text}" is not a number.`, { code: 'bad-flag' });
  }
  return value;
}

/** `250000`, `250k`, `1.5M`, `2B` or `1e6` → an integer; anything else is a usage error naming the flag. */
export function parseCount(name: string, text: string): number {
  const match = /^(.*?)([kMB])?$/.exec(text.trim());
  const value = parseNumber(name, match?.[1] ?? '') * (match?.[2] ? SUFFIXES[match[2]]! : 1);
  if (
    !Number.isSafeInteger(Math.round(value)) ||
    Math.abs(value - Math.round(value)) > 1e-6 * Math.abs(value)
  ) {
    throw usageError(`--${name}: "${text}" is not a whole number.`, { code: 'bad-flag' });
  }
  return Math.round(value);
}

type Range = { min?: number; max?: number };

function checkRange(name: string, value: number, { min, max }: Range): number {
  if ((min !== undefined && value < min) || (max !== undefined && value > max)) {
    const bounds = [min !== undefined && `at least ${min}`, max !== undefined && `at most ${max}`];
    throw usageError(`--${name}: ${value} must be ${bounds.filter(Boolean).join(' and ')}.`, {
      code: 'bad-flag',
    });
  }
  return value;
}

/** A finite real number within an optional range (oclif has no such flag). */
export const numberFlag = Flags.custom<number, Range>({
  helpValue: 'NUMBER',
  parse: async (text, _context, options) =>
    checkRange(options.name, parseNumber(options.name, text), options),
});

/** A whole number with an optional suffix k, M or B. */
export const countFlag = Flags.custom<number, Range>({
  helpValue: 'COUNT',
  parse: async (text, _context, options) => checkRange(options.name, parseCount(options.name, text), options),
});

/** Options of a flag that may be repeated or given as a comma-separated list, without swallowing arguments. */
export const listOptions = { multiple: true, multipleNonGreedy: true, delimiter: ',' } as const;

/** For commands that compile programs. */
export const dumpProgramFlag = Flags.string({
  summary: 'Write the text of the programs (StableHLO, engine xla) into this folder.',
  helpValue: 'DIR',
  helpGroup: 'ENGINE',
});

/** `--engine`, `--device`, `--precision`: where and in what arithmetic tensor programs run. */
export const engineFlags = {
  engine: Flags.option({ options: ENGINE_CHOICES })({
    summary: 'What runs the tensor programs; auto, the default, takes the fastest that works here.',
    env: 'SPARSELAW_ENGINE',
    helpGroup: 'ENGINE',
  }),
  device: Flags.option({ options: DEVICES })({
    summary: 'Narrow the engine to this kind of device.',
    env: 'SPARSELAW_DEVICE',
    helpGroup: 'ENGINE',
  }),
  precision: Flags.option({ options: PRECISIONS })({
    summary:
      'Arithmetic of the tensor programs; default: float32 (bfloat16 where models above 10⁹ parameters are measured).',
    helpGroup: 'ENGINE',
  }),
};
