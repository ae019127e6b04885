/**
 * The search of CETT-PPL-p% (Sparsing Law §1.5): the one CETT value, shared by all layers, at which perplexity
 * has risen by p %. Perplexity need not rise steadily with it, so a grid on the calibration tokens finds where
 * it first passes the bound. Passes over all tokens cost most: each is placed by a power law through what all
 * tokens have said, with the grid's exponent where they have not said enough, and bisection as the safeguard.
 * Pure logic: passes are the caller's.
 */

/** A CETT value and ln(perplexity ratio) there. */
export interface CurvePoint {
  cett: number;
  logRatio: number;
  /** How far off it may be, having been seen on a part of the tokens; absent or 0: not at all. */
  error?: number;
}

export interface TracePoint {
  cett: number;
  ratio: number;
  /** `sample` lies between the two. */
  tokens: 'calibration' | 'sample' | 'all';
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
  /** What is known of all tokens; the search adds to it. Several p share it. */
  known: CurvePoint[];
  /** ln ratio on all tokens. */
  evaluate(cett: number): Promise<number>;
  /** The same on as few of them as tell on which side of `bound` it lies (its error is smaller than the distance). */
  judge?(cett: number, bound: number): Promise<Omit<CurvePoint, 'cett'>>;
  /** ln ratio on more tokens than the grid's and far fewer than all: places the first pass better. */
  sample?(cett: number): Promise<number>;
}

/** Points of the grid: square-spaced in (0, 1], since most of what is asked for lies well below 1. */
const GRID_POINTS = 16;
export const CETT_GRID: readonly number[] = Array.from(
  { length: GRID_POINTS },
  (_, i) => ((i + 1) / GRID_POINTS) ** 2,
);

/**
 * @param bound ln(1 + p/100), positive
 * @param tolerance largest distance in CETT between the answer and a value known to break the bound
 */
export async function searchPerplexity(
  curve: PerplexityCurve,
  bound: number,
  tolerance: number,
): Promise<PerplexityAnswer> {
  const grid = [{ cett: 0, logRatio: 0 }, ...curve.grid];
  const found = await refine(curve, grid, bound, tolerance);
  if (found === 'never') return { cett: 1, status: 'at-bound', crossings: [] };
  // The grid's crossing nearest to the answer is the same one; those after it are others.
  const onGrid = upCrossings(grid, bound);
  const distances = onGrid.map((cett) => Math.abs(cett - found));
  const others = onGrid.slice(distances.indexOf(Math.min(...distances)) + 1);
  return { cett: found, status: found === 0 ? 'at-bound' : 'ok', crossings: [found, ...others] };
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
  grid: readonly CurvePoint[],
  bound: number,
  tolerance: number,
): Promise<number | 'never'> {
  let sampled: CurvePoint | undefined;
  if (curve.sample && curve.known.length === 0) {
    const cett = firstCrossing(grid, bound);
    if (cett) sampled = { cett, logRatio: await curve.sample(cett) };
  }
  let slow = 0;
  let span = Number.POSITIVE_INFINITY;
  for (;;) {
    const { low, high } = bracketOf(curve.known, bound);
    const top = high?.cett ?? 1;
    // Two steps that do not halve a bracket call for a bisection (Brent's safeguard).
    slow = high && top - low.cett > span / 2 ? slow + 1 : 0;
    span = top - low.cett;
    if (low.cett === 1 || (high && span <= tolerance)) {
      if (!low.error) return low.cett === 1 ? 'never' : low.cett;
      // A part of the tokens is enough to pass a value by, not to answer with it.
      Object.assign(low, { logRatio: await curve.evaluate(low.cett), error: 0 });
      continue;
    }
    const guess =
      slow < 2
        ? propose(curve.known, sampled, grid, { low, high }, bound)
        : { cett: (low.cett + top) / 2, isRoot: false };
    const cett = settle(guess, low, high, tolerance);
    const seen = curve.judge ? await curve.judge(cett, bound) : { logRatio: await curve.evaluate(cett) };
    curve.known.push({ cett, ...seen });
  }
}

interface Bracket {
  /** Keeps the bound on all tokens; dropping nothing (CETT 0) always does. */
  low: CurvePoint;
  /** Breaks it. */
  high: CurvePoint | undefined;
}

/** The first bracket that is known; what was judged for another bound may leave this one open. */
function bracketOf(known: readonly CurvePoint[], bound: number): Bracket {
  const ascending = known
    .filter(({ logRatio, error = 0 }) => error === 0 || Math.abs(logRatio - bound) > error)
    .sort((a, b) => a.cett - b.cett);
  const over = ascending.findIndex((point) => point.logRatio > bound);
  const below = over < 0 ? ascending : ascending.slice(0, over);
  return { low: below.at(-1) ?? { cett: 0, logRatio: 0 }, high: over < 0 ? undefined : ascending[over] };
}

interface Guess {
  cett: number;
  /** Believed to be the crossing, not only a place to look at. */
  isRoot: boolean;
}

/** How far the exponent between two values on all tokens may leave the calibration tokens' own. */
const EXPONENT_RANGE = 2;

/**
 * Where ln ratio meets the bound by a power law in CETT, through the value that is closest to it. The exponent is
 * that of the two closest values, kept near the grid's: two values side by side differ by little more than the
 * jumps of single neurons, and their slope alone would send the search astray. Without a usable exponent, or
 * outside the bracket: the first crossing of the grid, its ends replaced by what all tokens say.
 */
function propose(
  known: readonly CurvePoint[],
  sampled: CurvePoint | undefined,
  grid: readonly CurvePoint[],
  { low, high }: Bracket,
  bound: number,
): Guess {
  const top = high?.cett ?? 1;
  const distance = (point: CurvePoint) => Math.abs(point.logRatio - bound);
  const usable = known.filter((point) => point.cett > 0 && point.logRatio > 0);
  const [a = sampled, b] = usable.sort((x, y) => distance(x) - distance(y));
  const usual = a ? exponentAt(grid, a.cett) : Number.NaN;
  if (a && usual > 0 && a.logRatio > 0) {
    const own = b ? exponent(a, b) : Number.NaN;
    const power = Number.isFinite(own)
      ? Math.min(usual * EXPONENT_RANGE, Math.max(usual / EXPONENT_RANGE, own))
      : usual;
    const cett = a.cett * (bound / a.logRatio) ** (1 / power);
    if (cett > low.cett && cett < top) return { cett, isRoot: true };
  }
  const inside = grid.filter((point) => point.cett > low.cett && point.cett < top);
  const cett = firstCrossing([low, ...inside, ...(high ? [high] : [])], bound);
  return cett === undefined ? { cett: top, isRoot: false } : { cett, isRoot: true };
}

/** Shares of the tolerance: how far below a believed crossing to look, and what is too close to an end. */
const AIM = 0.4;
const MARGIN = 0.8;
const STEP = 0.9;

/**
 * Where to measure for a guess: a little below a believed crossing, so that the answer keeps the bound; just past
 * a measured end that is close to it, so that the bracket closes; never on an end.
 */
function settle(
  { cett, isRoot }: Guess,
  low: CurvePoint,
  high: CurvePoint | undefined,
  tolerance: number,
): number {
  const top = high?.cett ?? 1;
  if (!high && cett >= 1) return 1;
  const middle = (low.cett + top) / 2;
  if (cett - low.cett < MARGIN * tolerance) return Math.min(low.cett + STEP * tolerance, middle);
  if (high && top - cett < MARGIN * tolerance) return Math.max(top - STEP * tolerance, middle);
  const aimed = isRoot ? cett - AIM * tolerance : cett;
  return aimed > low.cett ? aimed : middle;
}

/** Where a piecewise power law (a straight line where a value is not positive) first rises through the bound. */
function firstCrossing(points: readonly CurvePoint[], bound: number): number | undefined {
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1]!, points[i]!];
    if (a.logRatio > bound || b.logRatio <= bound) continue;
    const positive = a.logRatio > 0 && a.cett > 0;
    const x = positive ? Math.log : (value: number) => value;
    const inverse = positive ? Math.exp : (value: number) => value;
    const share = (x(bound) - x(a.logRatio)) / (x(b.logRatio) - x(a.logRatio));
    const cett = inverse(x(a.cett) + share * (x(b.cett) - x(a.cett)));
    return Number.isFinite(cett) && cett > a.cett ? cett : (a.cett + b.cett) / 2;
  }
  return undefined;
}

/** d ln(ln ratio) / d ln CETT between two values. */
const exponent = (a: CurvePoint, b: CurvePoint): number =>
  Math.log(b.logRatio / a.logRatio) / Math.log(b.cett / a.cett);

/** The same of the grid around a CETT value; not a number where the grid is not positive. */
function exponentAt(grid: readonly CurvePoint[], cett: number): number {
  const after = grid.findIndex((point) => point.cett > cett);
  const index = after < 0 ? grid.length - 1 : Math.max(2, after);
  const [a, b] = [grid[index - 1]!, grid[index]!];
  return a.logRatio > 0 && b.logRatio > 0 ? exponent(a, b) : Number.NaN;
}
