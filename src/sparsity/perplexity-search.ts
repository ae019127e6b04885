/**
 * The search of CETT-PPL-p% (Sparsing Law §1.5): the one CETT value, shared by all layers, at which perplexity
 * has risen by p %. Perplexity need not rise steadily with it, so a grid on the calibration tokens finds where
 * it first passes the bound, and safeguarded secant steps on all tokens close in on that place.
 * Pure logic: passes are the caller's.
 */

/** A CETT value and ln(perplexity ratio) there. */
export interface CurvePoint {
  cett: number;
  logRatio: number;
}

export interface TracePoint {
  cett: number;
  ratio: number;
  tokens: 'calibration' | 'all';
}

export interface PerplexityAnswer {
  /** On the feasible side: its ratio on all tokens is at most 1 + p/100. */
  cett: number;
  status: 'ok' | 'at-bound';
  /** Ascending; the first is `cett`, the others are read off the calibration grid. */
  crossings: number[];
}

export interface PerplexityCurve {
  /** ln ratio on the calibration tokens at ascending CETT values, the last of which is 1. */
  grid: readonly CurvePoint[];
  /** What is known on all tokens; `evaluate` adds to it. Several p share it. */
  known: CurvePoint[];
  evaluate(cett: number): Promise<number>;
}

/** Points of the grid: square-spaced in (0, 1], since most of what is asked for lies well below 1. */
const GRID_POINTS = 16;
export const CETT_GRID: readonly number[] = Array.from(
  { length: GRID_POINTS },
  (_, i) => ((i + 1) / GRID_POINTS) ** 2,
);

interface End extends CurvePoint {
  /** Measured on all tokens, not only on the calibration tokens. */
  sure: boolean;
}

/**
 * @param bound ln(1 + p/100), positive
 * @param tolerance largest distance in CETT between the answer and a value known to break the bound
 */
export async function searchPerplexity(
  curve: PerplexityCurve,
  bound: number,
  tolerance: number,
): Promise<PerplexityAnswer> {
  const grid: End[] = [
    { cett: 0, logRatio: 0, sure: true },
    ...curve.grid.map((point) => ({ ...point, sure: false })),
  ];
  const calibrationCrossings = upCrossings(grid, bound);
  const found = await refine(curve, grid, bound, tolerance);
  if (found === 'never') {
    return { cett: 1, status: 'at-bound', crossings: [] };
  }
  const crossings = [found, ...calibrationCrossings.filter((c) => c > found + tolerance).slice(1)];
  return { cett: found, status: found === 0 ? 'at-bound' : 'ok', crossings };
}

/** CETT values where the grid rises through the bound, between two points by a straight line. */
export function upCrossings(points: readonly CurvePoint[], bound: number): number[] {
  const crossings: number[] = [];
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1]!, points[i]!];
    if (a.logRatio <= bound && b.logRatio > bound) {
      const share = Number.isFinite(b.logRatio) ? (bound - a.logRatio) / (b.logRatio - a.logRatio) : 0;
      crossings.push(a.cett + share * (b.cett - a.cett));
    }
  }
  return crossings;
}

async function refine(
  curve: PerplexityCurve,
  grid: readonly End[],
  bound: number,
  tolerance: number,
): Promise<number | 'never'> {
  const first = grid.findIndex((point) => point.logRatio > bound);
  let highIndex = first < 0 ? grid.length - 1 : first;
  let lowIndex = highIndex - 1;
  let low = sureEnd(curve, grid[lowIndex]!);
  let high = sureEnd(curve, grid[highIndex]!);

  /** Measures one value on all tokens and moves the end that it decides. */
  const measure = async (cett: number) => {
    const logRatio = await curve.evaluate(cett);
    curve.known.push({ cett, logRatio });
    const point: End = { cett, logRatio, sure: true };
    if (logRatio <= bound) low = point;
    else high = point;
  };
  /** An end that all tokens contradict: the bracket moves to the neighbouring cell of the grid. */
  const extend = (): boolean => {
    if (low.sure && low.logRatio > bound) {
      high = low;
      lowIndex -= 1;
      low = sureEnd(curve, grid[lowIndex]!);
    }
    if (high.sure && high.logRatio <= bound) {
      if (highIndex === grid.length - 1) return false;
      low = high;
      highIndex += 1;
      high = sureEnd(curve, grid[highIndex]!);
    }
    return true;
  };

  // Nothing on the grid breaks the bound: the top decides.
  if (first < 0 && !high.sure) {
    const top = high;
    await measure(top.cett);
    if (curve.known.at(-1)!.logRatio <= bound) return 'never';
  }
  for (const point of curve.known) {
    if (point.cett <= low.cett || point.cett >= high.cett) continue;
    if (point.logRatio > bound) high = { ...point, sure: true };
  }
  for (const point of curve.known) {
    if (point.cett <= low.cett || point.cett >= high.cett) continue;
    low = { ...point, sure: true };
  }

  let slow = 0;
  for (;;) {
    if (!extend()) return 'never';
    const span = high.cett - low.cett;
    if (span <= tolerance && low.sure && high.sure) return low.cett;
    if (span <= tolerance) {
      // An unmeasured end of a bracket that is narrow enough is measured, not believed.
      const end = low.sure ? high : low;
      const logRatio = await curve.evaluate(end.cett);
      curve.known.push({ cett: end.cett, logRatio });
      Object.assign(end, { logRatio, sure: true });
      continue;
    }
    const middle = (low.cett + high.cett) / 2;
    const guess = slow >= 2 ? middle : propose(curve, low, high, bound);
    await measure(settle(guess, low, high, tolerance));
    // Two steps that do not halve the bracket call for a bisection (Brent's safeguard).
    slow = high.cett - low.cett > span / 2 ? slow + 1 : 0;
  }
}

/** The end as measured on all tokens, where that is known. */
function sureEnd(curve: PerplexityCurve, end: End): End {
  const known = curve.known.find((point) => point.cett === end.cett);
  return known ? { ...known, sure: true } : { ...end };
}

/**
 * Keeps a guess off the ends; once it is close to a measured end, steps just past it so that the next
 * evaluation closes the bracket to less than the tolerance.
 */
function settle(guess: number, low: End, high: End, tolerance: number): number {
  const margin = 0.6 * tolerance;
  const step = 0.9 * tolerance;
  const inside = Math.min(high.cett, Math.max(low.cett, guess));
  if (low.sure && inside - low.cett < margin) return Math.min(low.cett + step, (low.cett + high.cett) / 2);
  if (high.sure && high.cett - inside < margin) return Math.max(high.cett - step, (low.cett + high.cett) / 2);
  if (inside <= low.cett) return low.cett + 0.01 * (high.cett - low.cett);
  if (inside >= high.cett) return high.cett - 0.01 * (high.cett - low.cett);
  return inside;
}

/**
 * Where ln ratio meets the bound by a power law in CETT (a straight line in logarithms; plain where a value is
 * not positive): through the two values on all tokens that are closest to the bound; through one of them with
 * the calibration tokens' slope; or on the calibration tokens alone.
 */
function propose(curve: PerplexityCurve, low: End, high: End, bound: number): number {
  const distance = (point: CurvePoint) => Math.abs(point.logRatio - bound);
  const near = curve.known
    .filter((point) => point.cett > 0 && Number.isFinite(point.logRatio))
    .sort((a, b) => distance(a) - distance(b));
  const [a, b] = near;
  if (a && b) return secant(a, b, bound);
  if (!a) return secant(low, high, bound);
  const slope = logSlope(curve.grid, a.cett);
  if (!(slope > 0) || a.logRatio <= 0) return (low.cett + high.cett) / 2;
  return a.cett * (bound / a.logRatio) ** (1 / slope);
}

function secant(a: CurvePoint, b: CurvePoint, bound: number): number {
  const positive = a.logRatio > 0 && b.logRatio > 0 && a.cett > 0 && b.cett > 0;
  const x = positive ? Math.log : (value: number) => value;
  const inverse = positive ? Math.exp : (value: number) => value;
  const share = (x(bound) - x(a.logRatio)) / (x(b.logRatio) - x(a.logRatio));
  const value = inverse(x(a.cett) + share * (x(b.cett) - x(a.cett)));
  return Number.isFinite(value) ? value : (a.cett + b.cett) / 2;
}

/** d ln(ln ratio) / d ln CETT of the calibration curve around a value. */
function logSlope(grid: readonly CurvePoint[], cett: number): number {
  const after = Math.max(
    1,
    grid.findIndex((point) => point.cett > cett),
  );
  const [a, b] = [grid[after - 1]!, grid[after]!];
  if (a.logRatio <= 0 || b.logRatio <= 0) return Number.NaN;
  return Math.log(b.logRatio / a.logRatio) / Math.log(b.cett / a.cett);
}
