import type { LawParameter } from '../laws/law.js';

/** Logarithms of positive parameters stay within what doubles can hold. */
const LOG_RANGE = 690;

/** Parameter j in the coordinate it is searched in: its logarithm, or itself. */
export const toInternal = (parameter: LawParameter, value: number) =>
  parameter.transform === 'log' ? Math.log(value) : value;

export const fromInternal = (parameter: LawParameter, value: number) =>
  parameter.transform === 'log' ? Math.exp(value) : value;

/** Lower and upper bound in the searched coordinate. */
export function internalBounds({ transform, lower, upper }: LawParameter): [number, number] {
  if (transform === 'identity') return [lower ?? -Infinity, upper ?? Infinity];
  return [lower === null ? -LOG_RANGE : Math.log(lower), upper === null ? LOG_RANGE : Math.log(upper)];
}
