import { type CurvePoint, ERROR_WIDTH } from './curve-point.js';

/** What is known of the exponent before anything is measured: ln ratio rises about with the square of CETT. */
const USUAL_EXPONENT = 2;
/** How far an exponent may lie from what was thought before, as a share of it (standard deviation). */
const EXPONENT_SPREAD = 0.5;
/** Jumps of ln ratio from one CETT value to the next, as a share of it: rounding and single neurons. */
const ROUGHNESS = 2e-3;
/** How fast a curve leaves its power law: share of ln ratio by squared distance in ln CETT. */
const CURVATURE = 0.5;

export interface LocalLaw {
  exponent: number;
  /** The exponent, one standard error lower. */
  least: number;
  /** CETT at which the law meets the bound. */
  crossing: number;
}

/**
 * A power law of ln ratio in CETT around the value that is nearest to the bound: least squares in logarithms through
 * all values, each trusted as far as it lies near and was seen on many tokens, with an exponent that is thought of
 * beforehand. Two values side by side differ by little more than the roughness, which a line through these two alone
 * would follow.
 * @param points those that are not positive are left out; undefined without any
 * @param usual the exponent thought of beforehand
 */
export function localLaw(
  points: readonly CurvePoint[],
  bound: number,
  usual: number = USUAL_EXPONENT,
): LocalLaw | undefined {
  const usable = points.filter(({ cett, logRatio }) => cett > 0 && logRatio > 0 && Number.isFinite(logRatio));
  if (usable.length === 0) return undefined;
  const offset = ({ logRatio }: CurvePoint) => Math.abs(Math.log(logRatio / bound));
  const center = usable.reduce((a, b) => (offset(b) < offset(a) ? b : a)).cett;
  const prior = (EXPONENT_SPREAD * usual) ** -2;
  // Normal equations of y = level + exponent·x.
  let [w, wx, wxx, wy, wxy] = [0, 0, prior, 0, prior * usual];
  for (const { cett, logRatio, error = 0 } of usable) {
    const [x, y] = [Math.log(cett / center), Math.log(logRatio / bound)];
    const weight = 1 / (ROUGHNESS ** 2 + (CURVATURE * x * x) ** 2 + (error / ERROR_WIDTH / logRatio) ** 2);
    w += weight;
    wx += weight * x;
    wxx += weight * x * x;
    wy += weight * y;
    wxy += weight * x * y;
  }
  const determinant = w * wxx - wx * wx;
  const fitted = (w * wxy - wx * wy) / determinant;
  const exponent = Math.max(fitted, usual / 3);
  const least = Math.max(fitted - Math.sqrt(w / determinant), exponent / 2);
  return { exponent, least, crossing: center * Math.exp((wx * exponent - wy) / w / exponent) };
}

/** Where a power law through one value meets the bound. */
export const crossingFrom = ({ cett, logRatio }: CurvePoint, exponent: number, bound: number): number =>
  cett * (bound / logRatio) ** (1 / exponent);
