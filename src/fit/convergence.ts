import type { Law } from '../laws/law.js';

/** The curve's value as x grows without end; null where the law has none. */
export function limitOf(law: Law, p: ArrayLike<number>): number | null {
  if (!law.limit) return null;
  const j = law.parameters.findIndex(({ name }) => name === law.limit!.parameter);
  return p[j]! + law.limit.offset(p);
}

/** Nothing converges later than this; bisection would only follow rounding. */
const LARGEST_X = 1e15;

/**
 * The x from which the curve stays within `share` of its limit (0.05 is 5 %); 0 when it always is, null when the law
 * has no limit, the limit is 0, or it comes that close only beyond 1e15. The laws with a limit are monotone.
 */
export function xWithin(law: Law, p: ArrayLike<number>, share: number): number | null {
  const limit = limitOf(law, p);
  if (limit === null || !(Math.abs(limit) > 0)) return null;
  const outside = (x: number) => !(Math.abs(law.value(x, p) - limit) <= share * Math.abs(limit));
  let lo = 1e-12;
  if (!outside(lo)) return 0;
  let hi = 1;
  while (outside(hi)) {
    lo = hi;
    hi *= 4;
    if (hi > LARGEST_X) return null;
  }
  while (hi / lo - 1 > 1e-12) {
    const mid = Math.sqrt(lo * hi);
    if (outside(mid)) lo = mid;
    else hi = mid;
  }
  return hi;
}
