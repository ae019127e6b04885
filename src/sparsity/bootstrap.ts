import { randomStream } from '../random.js';

export interface BootstrapOptions {
  replicates: number;
  seed: number;
}

export const DEFAULT_BOOTSTRAP: BootstrapOptions = { replicates: 1000, seed: 0 };

/** Resampled window numbers, [replicates × windows]: one drawing serves every statistic and checkpoint. */
const drawings = new Map<string, Uint32Array>();

function drawing(windows: number, { replicates, seed }: BootstrapOptions): Uint32Array {
  const key = `${windows} ${replicates} ${seed}`;
  let rows = drawings.get(key);
  if (!rows) {
    // A 32-bit word times the count, over 2^32: biased by less than windows / 2^32.
    rows = randomStream(seed, `bootstrap-${windows}`).uint32(replicates * windows);
    for (let i = 0; i < rows.length; i++) rows[i] = Math.floor((rows[i]! / 2 ** 32) * windows);
    drawings.clear();
    drawings.set(key, rows);
  }
  return rows;
}

/**
 * Standard error of a function of a mean over windows, by resampling windows with replacement. Thresholds and
 * the CETT value are held fixed: the error is that of evaluating on these windows.
 * @param values one per window
 * @param statistic of a replicate's mean, e.g. `Math.exp`
 * @returns 0 for a single window, which says nothing about spread
 */
export function bootstrapError(
  values: ArrayLike<number>,
  options: BootstrapOptions,
  statistic: (mean: number) => number = (mean) => mean,
): number {
  const n = values.length;
  if (n < 2 || options.replicates < 2) return 0;
  const rows = drawing(n, options);
  let sum = 0;
  let squares = 0;
  // Centred on the statistic of all windows, so that the sums lose no digits.
  let all = 0;
  for (let i = 0; i < n; i++) all += values[i]!;
  const centre = statistic(all / n);
  for (let r = 0; r < options.replicates; r++) {
    let mean = 0;
    for (let i = r * n; i < (r + 1) * n; i++) mean += values[rows[i]!]!;
    const distance = statistic(mean / n) - centre;
    sum += distance;
    squares += distance * distance;
  }
  const R = options.replicates;
  return Math.sqrt(Math.max(0, (squares - (sum * sum) / R) / (R - 1)));
}
