import { usageError } from '../errors.js';
import type { Fit, FitFile } from '../files/fit.js';
import { findLaw } from '../laws/index.js';
import { studentQuantile } from './distributions.js';
import { groupName } from './series.js';
import { shortNumber } from './summary.js';

export interface Prediction {
  group: Record<string, string>;
  law: string;
  /** In the table's unit, e.g. tokens. */
  at: number;
  value: number;
  /** Where the curve is, at the file's level; null when the fit has no covariance. */
  curveInterval: [number, number] | null;
  /** Where a new measurement would be: the curve's uncertainty and the residuals' spread together. */
  interval: [number, number] | null;
  level: number;
  /** Where `at` lies beside the fitted range. */
  range: 'inside' | 'below' | 'above';
  notes: string[];
}

/** Columns of y whose values are shares. */
const SHARES: ReadonlySet<string> = new Set(['activation_ratio', 'activation_ratio_dense', 'sparsity']);

export interface PredictOptions {
  at: readonly number[];
  /** `COL=VALUE` conditions, or a bare value of any group column. */
  group?: readonly string[];
  law?: string;
}

/**
 * Values of fitted curves with delta-method intervals: g′Cov g for the curve, plus σ² for a measurement.
 * @throws SparselawError 2 for unknown groups and laws, and where the convergent power law falls below 0
 */
export function predict(file: FitFile, options: PredictOptions): Prediction[] {
  const fits = select(file, options);
  return fits.flatMap((fit) => options.at.map((at) => predictOne(file, fit, at)));
}

function select(file: FitFile, { group = [], law }: PredictOptions): Fit[] {
  const inGroup = file.fits.filter((fit) =>
    group.every((wanted) => {
      const at = wanted.indexOf('=');
      return at > 0
        ? fit.group[wanted.slice(0, at)] === wanted.slice(at + 1)
        : Object.values(fit.group).includes(wanted);
    }),
  );
  if (inGroup.length === 0) {
    const names = [...new Set(file.fits.map((fit) => groupName(fit.group)))];
    throw usageError(`--group: no fit belongs to ${group.join(', ')}.`, {
      code: 'unknown-group',
      suggestions: [`The groups are: ${names.slice(0, 20).join('; ')}${names.length > 20 ? '; …' : ''}.`],
    });
  }
  const usable = inGroup.filter((fit) => fit.converged);
  if (law !== undefined) {
    const own = usable.filter((fit) => fit.law === law);
    if (own.length > 0) return own;
    throw usageError(`--law: ${law} has no usable fit here.`, {
      code: 'unknown-law',
      suggestions: [
        `There are fits of: ${[...new Set(usable.map((fit) => fit.law))].join(', ') || 'no law'}.`,
      ],
    });
  }
  // Without --law: in each group the law that was chosen, else the best ranked.
  return [...new Set(usable.map((fit) => JSON.stringify(fit.group)))].map((key) => {
    const comparison = file.comparison.find((entry) => JSON.stringify(entry.group) === key);
    const best = comparison?.chosen?.law ?? comparison?.ranking[0]?.law;
    const own = usable.filter((fit) => JSON.stringify(fit.group) === key);
    return own.find((fit) => fit.law === best) ?? own[0]!;
  });
}

function predictOne(file: FitFile, fit: Fit, at: number): Prediction {
  const law = findLaw(fit.law)!;
  const p = Float64Array.from(law.parameters, ({ name }) => fit.parameters[name]!.estimate);
  const x = at / file.xUnit;
  const value = law.value(x, p);
  const [first, last] = fit.xRange!;
  if (!Number.isFinite(value) || (law.id === 'convergent-power' && value < 0)) {
    const zero = (p[1]! / p[2]!) ** (1 / p[0]!);
    throw usageError(
      `--at ${shortNumber(at)}: ${fit.law} gives ${shortNumber(value)} there (${groupName(fit.group)}); it holds from ` +
        `${shortNumber(first * file.xUnit)}${law.id === 'convergent-power' ? ` and crosses 0 at ${shortNumber(zero * file.xUnit)}` : ''}.`,
      { code: 'outside-law', suggestions: ['Ask for values within the fitted range.'] },
    );
  }
  const range = x < first * (1 - 1e-9) ? 'below' : x > last * (1 + 1e-9) ? 'above' : 'inside';
  const notes: string[] = [];
  if (range !== 'inside') {
    notes.push(
      `outside the fitted range ${shortNumber(first * file.xUnit)} to ${shortNumber(last * file.xUnit)}: ` +
        'the interval holds only if the law does',
    );
  }
  if (SHARES.has(file.y) && (value < 0 || value > 1)) {
    notes.push(
      `${shortNumber(value)} is no ${file.y}, which lies between 0 and 1: the law does not hold so far`,
    );
  }
  if (fit.verdict !== 'ok') notes.push(`the fit is ${fit.verdict}`);
  const half = halfWidths(fit, law.gradient, x, p, file.level);
  if (!half) notes.push('no interval: the fit has no covariance');
  const around = (width: number): [number, number] =>
    fit.loss === 'log'
      ? [value * Math.exp(-width / Math.abs(value)), value * Math.exp(width / Math.abs(value))]
      : [value - width, value + width];
  return {
    group: fit.group,
    law: fit.law,
    at,
    value,
    curveInterval: half && around(half.curve),
    interval: half && around(half.measurement),
    level: file.level,
    range,
    notes,
  };
}

function halfWidths(
  fit: Fit,
  gradient: (x: number, p: ArrayLike<number>, out: Float64Array) => void,
  x: number,
  p: Float64Array,
  level: number,
): { curve: number; measurement: number } | null {
  const freedom = fit.n - p.length;
  if (!fit.covariance || fit.sigma === null || !(freedom > 0)) return null;
  const g = new Float64Array(p.length);
  gradient(x, p, g);
  let variance = 0;
  for (let a = 0; a < p.length; a++) {
    for (let b = 0; b < p.length; b++) variance += g[a]! * g[b]! * fit.covariance[a]![b]!;
  }
  const t = studentQuantile((1 + level) / 2, freedom);
  // Log residuals: their σ is a share of the value.
  let value = 1;
  if (fit.loss === 'log') {
    const law = findLaw(fit.law)!;
    value = Math.abs(law.value(x, p));
  }
  return {
    curve: t * Math.sqrt(Math.max(0, variance)),
    measurement: t * Math.sqrt(Math.max(0, variance) + (fit.sigma * value) ** 2),
  };
}
