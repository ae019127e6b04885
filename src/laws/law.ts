/** What the data say before anything is fitted: used to place starting points. x is in the law's units. */
export interface Points {
  /** Ascending. */
  x: ArrayLike<number>;
  y: ArrayLike<number>;
}

export interface LawParameter {
  name: string;
  meaning: string;
  /** In terms of x and y, e.g. `y`, `1/x`, or `1` for a pure number. */
  unit: string;
  /** Bounds in the law's own units; null is unbounded. */
  lower: number | null;
  upper: number | null;
  /** `log`: positive, searched by its logarithm. `identity`: searched as it is, clamped to its bounds. */
  transform: 'identity' | 'log';
  /**
   * What makes it too uncertain to be read alone (`src/fit/identification.ts`). `scale`, `location`: a positive
   * number, when its interval spans a factor of ten. `exponent`: a term in an exponent, likewise for its
   * exponential. `limit`: when its interval reaches more than 10 % of it to a side. `coefficient`: when its interval
   * contains 0. `level`: only when its interval does not close.
   */
  kind: 'scale' | 'location' | 'exponent' | 'limit' | 'coefficient' | 'level';
}

export type Shape = 'decreasing' | 'increasing' | 'either';

/**
 * A law is data: value, analytic gradient, starting points and words. Values of y are what the table holds (an
 * activation ratio is a fraction); x is the table's x divided by its unit (tokens: 1e9).
 */
export interface Law {
  id: string;
  title: string;
  /** The formula as text, and in TeX. */
  formula: string;
  tex: string;
  source: string;
  parameters: readonly LawParameter[];
  /** Monotone direction of the curve that the bounds enforce. */
  shape: Shape;
  /** True when the law is undefined or infinite at x = 0. */
  positiveX: boolean;
  value(x: number, p: ArrayLike<number>): number;
  /** Writes ∂value/∂p into `out`. */
  gradient(x: number, p: ArrayLike<number>, out: Float64Array): void;
  /** ∂value/∂x. */
  slope(x: number, p: ArrayLike<number>): number;
  /** The value as x → ∞: this parameter plus a constant; null where the law has no finite limit. */
  limit: { parameter: string; offset(p: ArrayLike<number>): number } | null;
  /** How many quasi-random coordinates `start` reads; 0 when one start is enough. */
  startDimensions: number;
  /** Parameters for one point of the unit cube: nonlinear ones from it, the linear ones by regression. */
  start(u: ArrayLike<number>, data: Points): number[];
  /** Coordinates in which the law's valleys are straight, where its printed parameters trade against each other. */
  working?(data: Points): WorkingForm;
}

/** A change of coordinates q ↔ p of a law's parameters. */
export interface WorkingForm {
  parameters: readonly LawParameter[];
  toWorking(p: ArrayLike<number>): number[];
  fromWorking(q: ArrayLike<number>): number[];
  /** Writes ∂p/∂q, row-major [parameters, parameters]. */
  derivatives(q: ArrayLike<number>, out: Float64Array): void;
  /** Indices of the parameters that are the same in both: their profiles can be followed here. */
  shared: readonly number[];
}

export const noOffset = () => 0;

/** Least squares of y on (1, g): intercept and slope; a constant g gives the mean and 0. */
export function regress(g: ArrayLike<number>, y: ArrayLike<number>): { intercept: number; slope: number } {
  const n = y.length;
  let meanG = 0;
  let meanY = 0;
  for (let i = 0; i < n; i++) {
    meanG += g[i]! / n;
    meanY += y[i]! / n;
  }
  let gg = 0;
  let gy = 0;
  for (let i = 0; i < n; i++) {
    gg += (g[i]! - meanG) ** 2;
    gy += (g[i]! - meanG) * (y[i]! - meanY);
  }
  const slope = gg > 0 ? gy / gg : 0;
  return { intercept: meanY - slope * meanG, slope };
}

/** u in [0, 1) → a value between lo and hi, evenly in its logarithm. */
export const logBetween = (u: number, lo: number, hi: number) =>
  Math.exp(Math.log(lo) + u * Math.log(hi / lo));

/** The geometric middle of the positive x. */
export function middle(x: ArrayLike<number>): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < x.length; i++) {
    if (x[i]! > 0) {
      sum += Math.log(x[i]!);
      count++;
    }
  }
  return count > 0 ? Math.exp(sum / count) : 1;
}

/** Largest minus smallest y, never 0. */
export function spread(y: ArrayLike<number>): number {
  let lo = Infinity;
  let hi = -Infinity;
  for (let i = 0; i < y.length; i++) {
    lo = Math.min(lo, y[i]!);
    hi = Math.max(hi, y[i]!);
  }
  return hi - lo || Math.abs(hi) || 1;
}

export const map = (x: ArrayLike<number>, f: (value: number) => number): Float64Array =>
  Float64Array.from({ length: x.length }, (_, i) => f(x[i]!));

/** The limit A0 that the sparsing laws share. */
export const limitParameter: LawParameter = {
  name: 'A0',
  meaning: 'limit as x grows',
  unit: 'y',
  lower: 0,
  upper: null,
  transform: 'identity',
  kind: 'limit',
};

/** Exponents outside this range are a different law: a logarithm below, a step above. */
export const exponentParameter: LawParameter = {
  name: 'alpha',
  meaning: 'exponent of x',
  unit: '1',
  lower: 1e-3,
  upper: 20,
  transform: 'log',
  kind: 'scale',
};
