/** Above this many points, starts are tried on a condensed series first. */
export const CONDENSE_ABOVE = 256;
const CELLS = 96;

export interface Condensed {
  x: Float64Array;
  y: Float64Array;
  /** 1/√(points in the cell): the residual's standard deviation relative to a single point's. */
  sigma: Float64Array;
}

/**
 * Means of x and y over at most 96 cells of consecutive points, evenly wide in ln x (in x where it is not positive), so
 * that a law that bends early is not averaged over its bend. A smooth law's sum of squares over the cells differs from
 * that over the points by a constant and terms of second order in a cell's width: good enough to find the basin and to
 * follow a profile, never used for an estimate.
 */
export function condense(x: Float64Array, y: Float64Array): Condensed {
  const n = x.length;
  const place = x[0]! > 0 ? Math.log : (value: number) => value;
  const first = place(x[0]!);
  const width = (place(x[n - 1]!) - first) / CELLS || 1;
  const condensed: { x: number[]; y: number[]; sigma: number[] } = { x: [], y: [], sigma: [] };
  for (let from = 0; from < n; ) {
    const cell = Math.floor((place(x[from]!) - first) / width);
    let to = from + 1;
    let sumX = x[from]!;
    let sumY = y[from]!;
    for (; to < n && (Math.floor((place(x[to]!) - first) / width) === cell || cell >= CELLS - 1); to++) {
      sumX += x[to]!;
      sumY += y[to]!;
    }
    condensed.x.push(sumX / (to - from));
    condensed.y.push(sumY / (to - from));
    condensed.sigma.push(1 / Math.sqrt(to - from));
    from = to;
  }
  return {
    x: Float64Array.from(condensed.x),
    y: Float64Array.from(condensed.y),
    sigma: Float64Array.from(condensed.sigma),
  };
}
