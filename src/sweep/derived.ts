import { CONFIG_FIELDS, CONFIG_KEYS, type ConfigKey, fieldInfo } from '../config.js';
import { nearest } from '../nearest.js';
import { parseQuantity } from '../quantity.js';

/**
 * A value that follows from another one, in the one form there is: a number times or divided by a key, rounded to
 * a multiple on request. `2.5 * width to 16`, `width / 48`, `190 parameters`.
 */
export interface Derived {
  factor: number;
  /** A numeric key, or `parameters`: the model's parameters outside embedding and head. */
  of: string;
  /** Round to the nearest multiple of this; whole keys are rounded to 1 without it. */
  multiple?: number;
}

export const PARAMETERS = 'parameters';

const NUMBER = String.raw`\d+(?:\.\d+)?(?:e[-+]?\d+)?[kMB]?`;
const KEY = '[a-z][A-Za-z0-9]+';
const FORMS = [
  new RegExp(`^(?<number>${NUMBER})\\s*[*×]?\\s*(?<key>${KEY})(?:\\s+to\\s+(?<to>\\d+))?$`),
  new RegExp(`^(?<key>${KEY})\\s*(?<sign>[*×/])\\s*(?<number>${NUMBER})(?:\\s+to\\s+(?<to>\\d+))?$`),
];

/** Keys whose values are numbers. */
const NUMERIC_KEYS = CONFIG_KEYS.filter((key) =>
  ['integer', 'quantity', 'number'].includes(fieldInfo.get(CONFIG_FIELDS[key])!.kind),
);

/** The derived form in a value of the file; undefined where the value is a plain one. */
export function parseDerived(key: string, value: unknown): Derived | undefined {
  if (typeof value !== 'string' || !NUMERIC_KEYS.includes(key as ConfigKey)) return undefined;
  if (parseQuantity(value) !== undefined) return undefined;
  for (const form of FORMS) {
    const parts = form.exec(value.trim())?.groups;
    if (!parts) continue;
    const number = parseQuantity(parts.number!)!;
    return {
      factor: parts.sign === '/' ? 1 / number : number,
      of: parts.key!,
      ...(parts.to === undefined ? {} : { multiple: Number(parts.to) }),
    };
  }
  return undefined;
}

/** What is wrong with the key a derived value refers to; undefined when nothing is. */
export function wrongReference({ of }: Derived): string | undefined {
  if (of === PARAMETERS || NUMERIC_KEYS.includes(of as ConfigKey)) return undefined;
  const near = nearest(of, [...NUMERIC_KEYS, PARAMETERS]);
  return `${of} is no number of the configuration.${near ? ` Did you mean ${near}?` : ''}`;
}

/** The value of a derived key, given the value of what it refers to. */
export function derivedValue(key: ConfigKey, { factor, multiple }: Derived, of: number): number {
  const exact = factor * of;
  if (multiple) return Math.max(1, Math.round(exact / multiple)) * multiple;
  return fieldInfo.get(CONFIG_FIELDS[key])!.kind === 'number' ? exact : Math.max(1, Math.round(exact));
}
