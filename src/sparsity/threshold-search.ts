import type { RangePass, Session } from './evaluate.js';
import { inverseAt } from './interpolation.js';
import type { Windows } from './windows.js';

/**
 * The search for ε_l (contract "eps_l"): in each layer the largest threshold before the first crossing of a
 * CETT bound on the calibration tokens, from dense activations. CETT(ε) need not be monotone (Sparsing Law
 * §1.4, notes), so wherever a crossing may hide, thresholds are scanned in small steps upward. It can hide
 * nowhere that CETT at a smaller threshold and all that is dropped since then stay below the bound together
 * (triangle inequality). Every value comes from streamed passes; several thresholds share one.
 */

/** Steps of the scan in an octave: a bump narrower than 4.4 % in ε between two steps can go unseen. */
const STEPS_PER_OCTAVE = 16;
/** The same where only a look at the curve is wanted: half an octave is interpolated to some 1e-4. */
const COARSE_STEPS = 1.5;
/** Thresholds a scanning pass tries in each layer. */
const SCAN_WIDTH = 16;
/** Thresholds a refining pass tries in each layer. */
const REFINE_WIDTH = 4;
/** Relative width of the final bracket around the crossing. */
export const THRESHOLD_TOLERANCE = 1e-4;
/** Smallest normal float32: a threshold for a layer in which every neuron is 0. */
const SMALLEST_THRESHOLD = 2 ** -126;

export interface LayerThresholds {
  /** ε_l, exact float32 values, [layers]. */
  thresholds: number[];
  /** Mean CETT that ε_l reaches on the calibration tokens, at most the bound, [layers]. */
  cett: number[];
}

export interface Calibration {
  readonly range: RangePass;
  /** ε_l for one CETT bound of all layers, bracketed to a relative 1e-4. */
  exact(bound: number): Promise<LayerThresholds>;
  /** ε_l read off a coarse scan by interpolation (error far below its step): for exploring, at little cost. */
  approximate(bound: number): Promise<number[]>;
}

/** A threshold of one layer: its CETT, and what that can at most be (`most` of ScanPass). */
interface Point {
  threshold: number;
  cett: number;
  most: number;
}

/** One layer's curve: ascending, from where nothing is dropped that is not 0 to where everything is. */
interface Curve {
  points: Point[];
  /** Up to `bound / slope` CETT cannot be more than `bound`: d_ff neurons drop no more than d_ff·ε. */
  slope: number;
}

/** Where a crossing lies; without `high` nothing exceeds the bound, and `low` drops everything. */
interface Bracket {
  low: Point;
  high?: Point;
  /** Their number among the layer's points. */
  at: number;
}

/** A threshold that drops every neuron: just above the largest output norm. */
const above = (value: number) => Math.fround(Math.max(value * (1 + 2 ** -20), SMALLEST_THRESHOLD));
const logit = (value: number) => Math.log(value / (1 - value));
const octaves = (from: number, to: number) => Math.log2(to / from);

/** @param smallestBound the smallest CETT bound that will be asked for: the first look begins there */
export async function calibrate(
  session: Session,
  windows: Windows,
  smallestBound: number,
): Promise<Calibration> {
  const range = await session.range(windows);
  const { layers, ff } = session.model;
  const curves = Array.from({ length: layers }, (_, layer): Curve => {
    const largest = range.largest[layer]!;
    const floor = Math.fround(Math.max(range.smallest[layer]!, SMALLEST_THRESHOLD));
    // Dropping every neuron is CETT 1 (0 where all are 0) by definition, free of rounding.
    const end = largest > 0 ? { cett: 1, most: Number.POSITIVE_INFINITY } : { cett: 0, most: 0 };
    return {
      points: [
        { threshold: floor, cett: 0, most: 0 },
        { threshold: Math.max(floor, above(largest)), ...end },
      ],
      slope: ff * range.inverseNorm[layer]!,
    };
  });

  /** One pass at some thresholds of each layer; those of a layer that needs fewer are filled up. */
  async function probe(columns: number[][], width: number): Promise<void> {
    const filled = columns.map((own, layer) =>
      Array.from({ length: width }, (_, k) => own[k] ?? curves[layer]!.points[0]!.threshold),
    );
    const { cett, most } = await session.scan(windows, filled);
    curves.forEach(({ points }, layer) => {
      columns[layer]!.forEach((threshold, k) => {
        if (points.some((point) => point.threshold === threshold)) return;
        points.push({ threshold, cett: cett[layer]![k]!, most: most[layer]![k]! });
      });
      points.sort((a, b) => a.threshold - b.threshold);
    });
  }

  let looked: Promise<void> | undefined;
  /** A first look at the whole curve. */
  const look = () => {
    looked ??= probe(
      curves.map(({ points: [floor, top], slope }) => {
        const from = clamp(smallestBound / slope, floor!.threshold, top!.threshold);
        return ladder(from, top!.threshold, SCAN_WIDTH);
      }),
      SCAN_WIDTH,
    );
    return looked;
  };

  /**
   * Scans until every layer's first crossing is between two neighbouring steps.
   * @param safe CETT that no gap between larger steps may hide; the bound itself
   */
  async function bracket(bound: number, steps: number, safe = bound): Promise<Bracket[]> {
    await look();
    for (;;) {
      const found = curves.map((curve) => firstCrossing(curve, bound, steps, safe));
      if (found.every((one) => 'low' in one)) return found as Bracket[];
      await probe(
        found.map((one) => ('low' in one ? [] : one.wanted.slice(0, SCAN_WIDTH))),
        SCAN_WIDTH,
      );
    }
  }

  const known = new Map<number, LayerThresholds>();

  return {
    range,

    async approximate(bound) {
      // One scan serves all bounds.
      await bracket(1, COARSE_STEPS, smallestBound);
      const brackets = await bracket(bound, COARSE_STEPS);
      return brackets.map(({ low, high, at }, layer) =>
        high ? Math.fround(crossingBetween(curves[layer]!.points, at, bound)) : low.threshold,
      );
    },

    async exact(bound) {
      const before = known.get(bound);
      if (before) return before;
      let section = false;
      for (;;) {
        const brackets = await bracket(bound, STEPS_PER_OCTAVE);
        if (brackets.every(isClosed)) {
          const result = {
            thresholds: brackets.map(({ low }) => low.threshold),
            cett: brackets.map(({ low }) => low.cett),
          };
          known.set(bound, result);
          return result;
        }
        await probe(
          brackets.map((one, layer) =>
            isClosed(one) ? [] : refiningPoints(curves[layer]!.points, one, bound, section),
          ),
          REFINE_WIDTH,
        );
        // Interpolation that stalls anywhere gives way to equal sections for one pass, as in Brent's method.
        const after = curves.map((curve) => firstCrossing(curve, bound, STEPS_PER_OCTAVE));
        section =
          !section &&
          after.some(
            (one, layer) =>
              'low' in one && !isClosed(one) && width(one) > width(brackets[layer]!) / REFINE_WIDTH,
          );
      }
    },
  };
}

const clamp = (value: number, least: number, most: number) =>
  Math.min(Math.max(Number.isFinite(value) ? value : least, least), most);

/** `count` thresholds from `from` on, of equal ratios that would reach `to` with the next. */
const ladder = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.fround(from * (to / from) ** (i / count)));

const width = ({ low, high }: Bracket) => (high ? Math.log(high.threshold / low.threshold) : 0);
const isClosed = ({ low, high }: Bracket) =>
  high === undefined || high.threshold <= low.threshold * (1 + THRESHOLD_TOLERANCE);

/**
 * The first crossing of a bound among neighbouring steps, or the thresholds that are wanted to see it: those in
 * every gap before it (as far as is known) in which CETT may rise above `hidden` and fall again.
 */
function firstCrossing(
  { points, slope }: Curve,
  bound: number,
  steps: number,
  hidden: number = bound,
): Bracket | { wanted: number[] } {
  const wanted: number[] = [];
  const safe = hidden / slope;
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1]!, points[i]!];
    const isSafe = b.threshold <= safe || a.cett + b.most - a.most <= hidden;
    const from = Math.min(Math.max(a.threshold, Number.isFinite(safe) ? safe : 0), b.threshold);
    // A share of a step is no step.
    const parts = Math.ceil(octaves(from, b.threshold) * steps - 1e-3);
    if (!isSafe && (parts > 1 || from > a.threshold)) {
      const inside = ladder(from, b.threshold, Math.max(1, parts));
      wanted.push(...inside.filter((threshold) => threshold > a.threshold && threshold < b.threshold));
    }
    if (b.cett > bound) return wanted.length > 0 ? { wanted } : { low: a, high: b, at: i };
  }
  return wanted.length > 0 ? { wanted } : { low: points.at(-1)!, at: points.length };
}

/**
 * Where CETT meets the bound between points[at − 1] and points[at]: log ε as a function of logit CETT (a power law near 0
 * and towards 1), through these two
 * and, where they are a step apart, one beyond each at a like distance; halfway where that leads out of the bracket.
 */
function crossingBetween(points: readonly Point[], at: number, bound: number): number {
  const [low, high] = [points[at - 1]!, points[at]!];
  const near = [low, high];
  const distance = octaves(low.threshold, high.threshold) / 2;
  // Values side by side differ by the jumps of single neurons: their slope says little.
  if (distance * 4 * STEPS_PER_OCTAVE > 1) {
    const before = points.slice(0, at).findLast((p) => octaves(p.threshold, low.threshold) > distance);
    const after = points.slice(at).find((p) => octaves(high.threshold, p.threshold) > distance);
    if (before) near.unshift(before);
    if (after) near.push(after);
  }
  const logs = near
    .filter(({ cett }) => cett > 0 && cett < 1)
    .map(({ threshold, cett }) => ({ x: Math.log(threshold), y: logit(cett) }));
  const guess = Math.exp(inverseAt(logs, logit(bound)));
  return guess > low.threshold && guess < high.threshold ? guess : Math.sqrt(low.threshold * high.threshold);
}

/**
 * Four ascending thresholds inside the bracket: a pair just around the interpolated crossing, which closes the
 * bracket at once when the guess is good, and a wider pair that catches it otherwise.
 */
function refiningPoints(points: readonly Point[], b: Bracket, bound: number, section: boolean): number[] {
  const [low, high] = [b.low.threshold, b.high!.threshold];
  const span = width(b);
  if (section) {
    return [1, 2, 3, 4].map((i) => Math.fround(low * Math.exp((span * i) / (REFINE_WIDTH + 1))));
  }
  const guess = crossingBetween(points, b.at, bound);
  const near = 0.45 * THRESHOLD_TOLERANCE;
  const wide = Math.max(6 * THRESHOLD_TOLERANCE, span / 16);
  return [-wide, -near, near, wide]
    .map((offset) => {
      const point = guess * Math.exp(offset);
      // Points outside fall back to a section point, so that none is wasted.
      if (point > low && point < high) return Math.fround(point);
      return Math.fround(low * Math.exp(offset < 0 ? span / 3 : (2 * span) / 3));
    })
    .sort((x, y) => x - y);
}
