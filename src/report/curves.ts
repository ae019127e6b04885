import type { Fit, FitFile } from '../files/fit.js';
import { studentQuantile } from '../fit/distributions.js';
import { findLaw, type Law } from '../laws/index.js';
import type { CurveRow } from './charts/fitted-curves.js';

/** Points of a drawn curve; enough for a smooth line on a wide screen. */
const CURVE_POINTS = 64;
const CROWDED_POINTS = 20;
/** A curve is continued to this multiple of its last x, to show where it heads. */
const EXTRAPOLATION = 2.5;
const EXTRAPOLATED_POINTS = 12;

export function parametersOf(law: Law, fit: Fit): number[] | null {
  const values = law.parameters.map(({ name }) => fit.parameters[name]?.estimate);
  return values.every((value) => value !== undefined) ? (values as number[]) : null;
}

/**
 * The fitted law over its data and some way beyond, in the table's x, with its confidence band (delta method). Among many
 * curves (`isCrowded`) bands would hide each other: none, and fewer points.
 */
export function curveOf(series: string, fit: Fit, file: FitFile, isCrowded = false): CurveRow[] {
  const law = findLaw(fit.law);
  const p = law && parametersOf(law, fit);
  if (!law || !p || !fit.xRange || fit.verdict === 'not-converged' || fit.verdict === 'too-few-points')
    return [];
  const [from, to] = fit.xRange;
  const halfWidth = isCrowded ? () => null : bandHalfWidth(law, fit, p, file.level);
  const count = isCrowded ? CROWDED_POINTS : CURVE_POINTS;
  const row = (x: number, part: CurveRow['part']): CurveRow => {
    const y = law.value(x, p);
    const half = halfWidth(x);
    return {
      series,
      x: x * file.xUnit,
      y,
      low: half === null ? null : y - half,
      high: half === null ? null : y + half,
      part,
    };
  };
  return [
    ...spaced(from, to, count).map((x) => row(x, 'fitted')),
    ...spaced(to, to * EXTRAPOLATION, isCrowded ? 3 : EXTRAPOLATED_POINTS).map((x) => row(x, 'extrapolated')),
  ].filter((point) => Number.isFinite(point.y));
}

/** ± t·√(gᵀCg) with the gradient g of the curve in its parameters; null where the fit has no covariance. */
function bandHalfWidth(law: Law, fit: Fit, p: number[], level: number): (x: number) => number | null {
  const { covariance } = fit;
  const freedom = fit.n - p.length;
  if (!covariance || freedom < 1 || fit.loss === 'log') return () => null;
  const t = studentQuantile((1 + level) / 2, freedom);
  const g = new Float64Array(p.length);
  return (x) => {
    law.gradient(x, p, g);
    let variance = 0;
    for (const [i, line] of covariance.entries()) {
      for (const [j, value] of line.entries()) variance += g[i]! * g[j]! * value;
    }
    const half = t * Math.sqrt(Math.max(variance, 0));
    return Number.isFinite(half) ? half : null;
  };
}

/** Evenly in the logarithm, ends exact; evenly in x where x is not positive. */
function spaced(from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    if (i === 0) return from;
    if (i === count - 1) return to;
    const t = i / (count - 1);
    return from > 0 ? from * (to / from) ** t : from + (to - from) * t;
  });
}
