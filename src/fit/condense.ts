/** Above this many points, starts are tried on a condensed series first. */
export const CONDENSE_ABOVE = 256;
const CELLS = 64;

export interface Condensed {
  x: Float64Array;
  y: Float64Array;
  /** 1/√(points in the cell): the residual's standard deviation relative to a single point's. */
  sigma: Float64Array;
}

/**
 * Means of x and y over at most 64 cells of consecutive points, evenly filled. A smooth law's sum of squares over the
 * cells differs from that over the points by a constant and terms of second order in a cell's width: good enough to
 * find the basin, never used for a result.
 */
export function condense(x: Float64Array, y: Float64Array): Condensed {
  const n = x.length;
  const cells = Math.min(CELLS, n);
  const condensed: Condensed = {
    x: new Float64Array(cells),
    y: new Float64Array(cells),
    sigma: new Float64Array(cells),
  };
  for (let cell = 0; cell < cells; cell++) {
    const from = Math.floor((cell * n) / cells);
    const to = Math.floor(((cell + 1) * n) / cells);
    for (let i = from; i < to; i++) {
      condensed.x[cell]! += x[i]! / (to - from);
      condensed.y[cell]! += y[i]! / (to - from);
    }
    condensed.sigma[cell] = 1 / Math.sqrt(to - from);
  }
  return condensed;
}
