import type { CurvePoint } from './curve-point.js';
import { crossingFrom, type LocalLaw, localLaw } from './local-law.js';

/**
 * The search of CETT-PPL-p% (Sparsing Law §1.5): the one CETT value, shared by all layers, at which perplexity
 * has risen by p %. Perplexity need not rise steadily with it, so a grid on the calibration tokens finds where
 * it first passes the bound. Passes over all tokens cost most: each is placed by a local power law (local-law.ts)
 * through what has been measured, with bisection as the safeguard. The search ends at a value that keeps the bound on
 * all tokens once the crossing is within the tolerance above it: because a value there breaks the bound, or by the law.
 * Pure logic: passes are the caller's.
 */

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
  sample?(cett: number): Promise<Omit<CurvePoint, 'cett'>>;
}

/** Points of the grid: square-spaced in (0, 1], since most of what is asked for lies well below 1. */
const GRID_POINTS = 16;
export const CETT_GRID: readonly number[] = Array.from(
  { length: GRID_POINTS },
  (_, i) => ((i + 1) / GRID_POINTS) ** 2,
);

/**
 * @param bound ln(1 + p/100), positive
 * @param tolerance largest distance in CETT from the answer to the crossing above it
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
    if (cett) sampled = { cett, ...(await curve.sample(cett)) };
  }
  const usual = localLaw(grid, bound)?.exponent;
  let slow = 0;
  let span = Number.POSITIVE_INFINITY;
  for (;;) {
    const { low, high } = bracketOf(curve.known, bound);
    const law = localLaw(sampled ? [...curve.known, sampled] : curve.known, bound, usual);
    const top = high?.cett ?? 1;
    // Steps that do not halve a bracket call for a bisection (Brent's safeguard).
    slow = high && top - low.cett > span / 2 ? slow + 1 : 0;
    span = top - low.cett;
    if (low.cett === 1 || (high && span <= tolerance) || isClose(low, law, bound, tolerance)) {
      if (!low.error) return low.cett === 1 ? 'never' : low.cett;
      // A part of the tokens is enough to pass a value by, not to answer with it.
      Object.assign(low, { logRatio: await curve.evaluate(low.cett), error: 0 });
      continue;
    }
    const guess =
      slow < PATIENCE
        ? propose(law, grid, { low, high }, bound)
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

/**
 * Whether the crossing is at most the tolerance above a value that keeps the bound, as the local law has it, both by
 * all values and from this one alone. The law's exponent is lowered by a standard error: few values say little of it.
 */
function isClose(low: CurvePoint, law: LocalLaw | undefined, bound: number, tolerance: number): boolean {
  if (!law || low.cett === 0 || low.logRatio <= 0) return false;
  return Math.max(law.crossing, crossingFrom(low, law.least, bound)) - low.cett <= tolerance;
}

/**
 * Where ln ratio meets the bound by the local law: that through all values, or where it leads out of the bracket, the
 * same from one of its ends. Without a law: the first crossing of the grid, its ends replaced by what all tokens say.
 */
function propose(
  law: LocalLaw | undefined,
  grid: readonly CurvePoint[],
  { low, high }: Bracket,
  bound: number,
): Guess {
  const top = high?.cett ?? 1;
  const isInside = (cett: number) => cett > low.cett && cett < top;
  if (law) {
    const ends = [high, low].filter((end) => end && end.cett > 0 && end.logRatio > 0) as CurvePoint[];
    const guesses = [law.crossing, ...ends.map((end) => crossingFrom(end, law.exponent, bound))];
    const cett = guesses.find(isInside);
    if (cett !== undefined) return { cett, isRoot: true };
  }
  const inside = grid.filter((point) => isInside(point.cett));
  const cett = firstCrossing([low, ...inside, ...(high ? [high] : [])], bound);
  return cett === undefined ? { cett: top, isRoot: false } : { cett, isRoot: true };
}

/** Steps in a row that may shorten the bracket by less than half. */
const PATIENCE = 3;
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
