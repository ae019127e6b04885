/** A CETT value and ln(perplexity ratio) there. */
export interface CurvePoint {
  cett: number;
  logRatio: number;
  /** How far off it may be, having been seen on a part of the tokens: `ERROR_WIDTH` standard errors; absent or 0: not at all. */
  error?: number;
}

/** A value that so many standard errors lie between a bound and its estimate is taken for being on that side. */
export const ERROR_WIDTH = 4;
