import type { ScaleTest } from '../files/fit.js';
import { studentCdf, studentQuantile } from './distributions.js';
import type { Series } from './series.js';
import { mean } from './statistics.js';

/** A change by less than this share for a factor of ten of scale is called weak, unless the user says otherwise. */
export const DEFAULT_MARGIN = 0.1;
/** Each of the two one-sided tests of equivalence is made at this level. */
const EQUIVALENCE_LEVEL = 0.05;

/**
 * How y depends on the logarithm of a scale: slope a decade with its interval, the probability of so much slope under
 * no dependence, and a verdict by two one-sided tests against ± margin. Null below three distinct positive x.
 */
export function testScaleDependence(
  series: Series,
  level: number,
  margin = DEFAULT_MARGIN,
): ScaleTest | null {
  const rows = Array.from(series.x, (_, i) => i).filter((i) => series.x[i]! > 0);
  const x = rows.map((i) => Math.log10(series.x[i]!));
  const y = rows.map((i) => series.y[i]!);
  const n = rows.length;
  if (new Set(x).size < 3) return null;
  const [meanX, meanY] = [mean(x), mean(y)];
  let xx = 0;
  let xy = 0;
  for (let i = 0; i < n; i++) {
    xx += (x[i]! - meanX) ** 2;
    xy += (x[i]! - meanX) * (y[i]! - meanY);
  }
  const slope = xy / xx;
  let sse = 0;
  for (let i = 0; i < n; i++) sse += (y[i]! - meanY - slope * (x[i]! - meanX)) ** 2;
  const freedom = n - 2;
  const standardError = Math.sqrt(sse / freedom / xx);
  const t = standardError > 0 ? Math.abs(slope) / standardError : Infinity;
  const half = studentQuantile((1 + level) / 2, freedom) * standardError;
  const narrow = studentQuantile(1 - EQUIVALENCE_LEVEL, freedom) * standardError;
  const relative = (value: number) => value / Math.abs(meanY);
  const low = relative(slope - narrow);
  const high = relative(slope + narrow);
  const verdict =
    low > -margin && high < margin ? 'weak' : low > margin || high < -margin ? 'strong' : 'undecided';
  return {
    group: series.group,
    n,
    slopePerDecade: { estimate: slope, standardError, interval: [slope - half, slope + half] },
    relativePerDecade: {
      estimate: relative(slope),
      standardError: relative(standardError),
      interval: [relative(slope - half), relative(slope + half)],
    },
    pValue: slope === 0 && !(standardError > 0) ? 1 : 2 * (1 - studentCdf(t, freedom)),
    margin,
    verdict,
  };
}
