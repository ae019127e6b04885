import { average, type RangePass, type Session } from './evaluate.js';
import { outputNormRule } from './rules.js';
import type { Windows } from './windows.js';

/**
 * The search for ε_l (contract "eps_l"): in each layer the largest threshold before the first crossing of a
 * CETT bound on the calibration tokens, from dense activations. CETT(ε) need not be monotone (Sparsing Law
 * §1.4, notes), so the first crossing is looked for by scanning log-spaced thresholds upward, then bracketed
 * to a relative width. Every value comes from streamed passes; several thresholds share one.
 */

/** Steps of the scan in an octave: a bump narrower than 4.4 % in ε between two steps can go unseen. */
const STEPS_PER_OCTAVE = 16;
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
  /** ε_l read off the scan by interpolation (error far below a scan step): for exploring, at no cost. */
  approximate(bound: number): Promise<number[]>;
}

/** One layer's scanned curve; thresholds ascend, and the last one drops every neuron. */
interface Curve {
  thresholds: number[];
  /** Known for the first `cett.length` thresholds. */
  cett: number[];
  floor: number;
}

/** A threshold that drops every neuron: just above the largest output norm. */
const above = (value: number) => Math.fround(Math.max(value * (1 + 2 ** -20), SMALLEST_THRESHOLD));

/**
 * @param smallestBound the smallest CETT bound that will be asked for: the scan starts where Σ N < ε over F
 *   neurons is certain to stay below it (triangle inequality), so nothing under it can be a crossing
 */
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
    const safe = smallestBound / (ff * range.inverseNorm[layer]!);
    const top = above(largest);
    const start = Math.min(Math.max(floor, Number.isFinite(safe) ? safe : floor), top);
    const steps = Math.max(1, Math.ceil(Math.log2(top / start) * STEPS_PER_OCTAVE));
    const thresholds = Array.from({ length: steps + 1 }, (_, i) =>
      i === 0 ? Math.fround(start) : i === steps ? top : Math.fround(start * 2 ** (i / STEPS_PER_OCTAVE)),
    );
    return { thresholds, cett: [], floor };
  });

  /** One pass at columns of thresholds; layers that need none repeat what they are given. */
  const probe = async (columns: number[][]): Promise<number[][]> => {
    const { cett } = await session.dense(outputNormRule, windows, columns);
    return cett.map((layer) => layer.map(average));
  };

  const crossing = (curve: Curve, bound: number) => curve.cett.findIndex((value) => value > bound);
  const complete = (curve: Curve) => curve.cett.length === curve.thresholds.length;

  /** Scans upward until every layer has crossed the bound or has reached its top. */
  async function scanTo(bound: number): Promise<void> {
    while (curves.some((curve) => !complete(curve) && crossing(curve, bound) < 0)) {
      const columns = curves.map((curve) =>
        Array.from({ length: SCAN_WIDTH }, (_, k) => {
          const index = Math.min(curve.cett.length + k, curve.thresholds.length - 1);
          return curve.thresholds[index]!;
        }),
      );
      const values = await probe(columns);
      curves.forEach((curve, layer) => {
        for (let k = 0; k < SCAN_WIDTH && !complete(curve); k++) {
          const last = curve.cett.length === curve.thresholds.length - 1;
          // Dropping every neuron is CETT 1 (0 where all are 0) by definition, free of rounding.
          curve.cett.push(last ? (range.largest[layer]! > 0 ? 1 : 0) : values[layer]![k]!);
        }
      });
    }
  }

  interface Bracket {
    low: number;
    lowCett: number;
    /** Undefined when nothing exceeds the bound: `low` drops everything. */
    high?: number;
    highCett?: number;
  }

  const bracketOf = (curve: Curve, bound: number): Bracket => {
    const index = crossing(curve, bound);
    if (index < 0) return { low: curve.thresholds.at(-1)!, lowCett: curve.cett.at(-1)! };
    const high = curve.thresholds[index]!;
    const highCett = curve.cett[index]!;
    if (index === 0) return { low: curve.floor, lowCett: 0, high, highCett };
    return { low: curve.thresholds[index - 1]!, lowCett: curve.cett[index - 1]!, high, highCett };
  };

  const done = (b: Bracket) => b.high === undefined || b.high <= b.low * (1 + THRESHOLD_TOLERANCE);
  const known = new Map<number, LayerThresholds>();

  return {
    range,

    async approximate(bound) {
      await scanTo(bound);
      return curves.map((curve) => {
        const b = bracketOf(curve, bound);
        return b.high === undefined ? b.low : Math.fround(interpolate(b as Required<Bracket>, bound));
      });
    },

    async exact(bound) {
      const before = known.get(bound);
      if (before) return before;
      await scanTo(bound);
      const brackets = curves.map((curve) => bracketOf(curve, bound));
      let section = false;
      while (!brackets.every(done)) {
        const columns = brackets.map((b) =>
          done(b)
            ? Array.from({ length: REFINE_WIDTH }, () => b.low)
            : refiningPoints(b as Required<Bracket>, bound, section),
        );
        const widths = brackets.map(width);
        const values = await probe(columns);
        brackets.forEach((b, layer) => {
          if (done(b)) return;
          for (let k = 0; k < REFINE_WIDTH; k++) {
            const threshold = columns[layer]![k]!;
            const value = values[layer]![k]!;
            if (threshold <= b.low || threshold >= b.high!) continue;
            if (value > bound) {
              b.high = threshold;
              b.highCett = value;
              break;
            }
            b.low = threshold;
            b.lowCett = value;
          }
        });
        // Interpolation that stalls anywhere gives way to equal sections for one pass, as in Brent's method.
        section =
          !section && brackets.some((b, layer) => !done(b) && width(b) > widths[layer]! / REFINE_WIDTH);
      }
      const result = { thresholds: brackets.map((b) => b.low), cett: brackets.map((b) => b.lowCett) };
      known.set(bound, result);
      return result;
    },
  };
}

const width = (b: { low: number; high?: number }) => (b.high === undefined ? 0 : Math.log(b.high / b.low));

/** Where ε meets the bound if CETT were a power of it (linear in log ε where a value is 0). */
function interpolate(
  b: { low: number; lowCett: number; high: number; highCett: number },
  bound: number,
): number {
  const x = b.lowCett > 0 && bound > 0 ? Math.log : (value: number) => value;
  const rise = x(b.highCett) - x(b.lowCett);
  const at = Number.isFinite(rise) && rise > 0 ? (x(bound) - x(b.lowCett)) / rise : 0.5;
  return b.low * (b.high / b.low) ** Math.min(1, Math.max(0, at));
}

/**
 * Four ascending thresholds inside the bracket: a pair just around the interpolated crossing, which closes the
 * bracket at once when the guess is good, and a wider pair that catches it otherwise.
 */
function refiningPoints(
  b: { low: number; lowCett: number; high: number; highCett: number },
  bound: number,
  section: boolean,
): number[] {
  const span = width(b);
  if (section) {
    return [1, 2, 3, 4].map((i) => Math.fround(b.low * Math.exp((span * i) / (REFINE_WIDTH + 1))));
  }
  const guess = interpolate(b, bound);
  const near = 0.45 * THRESHOLD_TOLERANCE;
  const wide = Math.max(6 * THRESHOLD_TOLERANCE, span / 16);
  return [-wide, -near, near, wide]
    .map((offset) => {
      const point = guess * Math.exp(offset);
      // Points outside fall back to a section point, so that none is wasted.
      if (point > b.low && point < b.high) return Math.fround(point);
      return Math.fround(b.low * Math.exp(offset < 0 ? span / 3 : (2 * span) / 3));
    })
    .sort((x, y) => x - y);
}
