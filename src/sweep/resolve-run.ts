import {
  CONFIG_FIELDS,
  CONFIG_KEYS,
  type Config,
  type ConfigKey,
  type ConfigValues,
  fieldInfo,
  resolveConfig,
  shapeOf,
} from '../config.js';
import { inputError, SparselawError } from '../errors.js';
import { printable } from '../io/printable.js';
import { parameterCounts } from '../model/shape.js';
import { parseQuantity } from '../quantity.js';
import { type Derived, derivedValue, PARAMETERS, parseDerived, wrongReference } from './derived.js';
import type { GridRun } from './expand.js';

/** Sizes that `4M parameters` solves for, and the steps in which they are tried. */
const SOLVED = { width: 16, layers: 1 } as const;
type SolvedKey = keyof typeof SOLVED;
const isSolved = (key: ConfigKey, { of }: Derived): key is SolvedKey => of === PARAMETERS && key in SOLVED;

/** What the count of parameters depends on. */
const MODEL_KEYS = CONFIG_KEYS.filter(
  (key) => fieldInfo.get(CONFIG_FIELDS[key])!.group === 'MODEL' || key === 'data',
);

/**
 * The configuration of a run of the grid, derived values filled in.
 * @param path the grid file, for messages
 * @throws SparselawError (status 3) naming file, line and key, as `resolveConfig` does
 */
export function resolveRun(run: GridRun, path: string, corpusVocabSize: number | undefined): Config {
  const derived = new Map<ConfigKey, Derived>();
  const plain: Record<string, unknown> = {};
  const fail = (key: string, message: string) =>
    inputError(`${printable(path)}, line ${run.lines.get(key)}: ${printable(key)} ${message}`, {
      code: 'bad-derived',
      suggestions: ['Write a number times or divided by a key, such as 2.5 * width or width / 64 to 2.'],
    });
  for (const [key, value] of Object.entries(run.values)) {
    const found = parseDerived(key, value);
    if (!found) plain[key] = value;
    else derived.set(key as ConfigKey, found);
    const wrong = found && wrongReference(found);
    if (wrong) throw fail(key, `= ${printable(String(value))}: ${wrong}`);
  }
  const resolve = (values: ConfigValues) =>
    resolveConfig({
      file: { path, values: { ...values }, lines: run.lines },
      ...(corpusVocabSize === undefined ? {} : { corpusVocabSize }),
    });
  const settle = (values: ConfigValues, pending: ReadonlyMap<ConfigKey, Derived>) =>
    resolve(fillIn(values, pending, resolve, fail));

  const solved = [...derived].filter(([key, value]) => isSolved(key, value));
  if (solved.length === 0) return settle(plain, derived);
  if (solved.length > 1) {
    throw fail(solved[1]![0], `and ${solved[0]![0]} cannot both follow from the number of parameters.`);
  }
  const [key, { factor, multiple }] = solved[0]! as [SolvedKey, Derived];
  derived.delete(key);
  return solve(factor, multiple ?? SOLVED[key], (value) => settle({ ...plain, [key]: value }, derived));
}

/** Values with every derived one worked out, in the order in which they depend on each other. */
function fillIn(
  values: ConfigValues,
  derived: ReadonlyMap<ConfigKey, Derived>,
  resolve: (values: ConfigValues) => Config,
  fail: (key: string, message: string) => SparselawError,
): ConfigValues {
  const known: Record<string, unknown> = { ...values };
  const pending = new Map(derived);
  while (pending.size > 0) {
    const ready = [...pending].find(([, { of }]) =>
      of === PARAMETERS ? !MODEL_KEYS.some((key) => pending.has(key)) : known[of] !== undefined,
    );
    if (!ready) {
      const [key, { of }] = [...pending][0]!;
      const isModel = of === PARAMETERS && MODEL_KEYS.includes(key);
      throw fail(
        key,
        isModel
          ? 'is a part of the model: only width and layers can follow from the number of parameters.'
          : `refers to ${of}, ${pending.has(of as ConfigKey) ? 'which refers back to it.' : 'to which the grid gives no value.'}`,
      );
    }
    const [key, value] = ready;
    pending.delete(key);
    known[key] = derivedValue(key, value, operand(value, known, resolve));
  }
  return known;
}

function operand({ of }: Derived, known: ConfigValues, resolve: (values: ConfigValues) => Config): number {
  if (of === PARAMETERS) {
    const model = Object.fromEntries(
      Object.entries(known).filter(([key]) => MODEL_KEYS.includes(key as never)),
    );
    return parameterCounts(shapeOf(resolve(model))).nonEmbedding;
  }
  const value = known[of];
  // What is no number is refused by the schema, with its line, when the run is resolved.
  return typeof value === 'string' ? (parseQuantity(value) ?? Number.NaN) : Number(value);
}

/** A width of 16 × 4096 is far above any model's. */
const MAX_TRIES = 4096;

/** The configuration, among the multiples of `step`, whose parameters outside embedding and head are nearest. */
function solve(target: number, step: number, configOf: (value: number) => Config): Config {
  let best: { config: Config; distance: number } | undefined;
  let refusal: unknown;
  for (let value = step; value <= MAX_TRIES * step; value += step) {
    let config: Config;
    try {
      config = configOf(value);
    } catch (error) {
      // A width that its heads do not divide is passed over; where none fits, the first refusal is told.
      if (!(error instanceof SparselawError)) throw error;
      refusal ??= error;
      continue;
    }
    const distance = Math.log(parameterCounts(shapeOf(config)).nonEmbedding / target);
    if (!best || Math.abs(distance) < Math.abs(best.distance)) best = { config, distance };
    if (distance > 0) break;
  }
  if (!best) throw refusal;
  return best.config;
}
