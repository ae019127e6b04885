// What the study's scripts share: which rows of a table are a law's points, and a slope with its interval.
import { studentQuantile } from '../../dist/src/fit/distributions.js';

/** Tokens that the criteria's measurements were made on, as the table writes them. */
export const EVALUATED = '262144';

/** Whether a row is a point of the laws' series: PPL-1 % on the tokens of the criteria, after the warm-up and before a decay. */
export const isPoint = (row) =>
  row.metric === 'pplp' && row.p_percent === '1' && row.tokens_evaluated === EVALUATED && row.phase === 'stable';

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Least squares of y on x with Student's 95 % interval of the slope. */
export function slopeOf(x, y) {
  const [mx, my] = [mean(x), mean(y)];
  const sxx = x.reduce((sum, value) => sum + (value - mx) ** 2, 0);
  const slope = x.reduce((sum, value, i) => sum + (value - mx) * (y[i] - my), 0) / sxx;
  const rest = y.reduce((sum, value, i) => sum + (value - my - slope * (x[i] - mx)) ** 2, 0);
  const half = studentQuantile(0.975, x.length - 2) * Math.sqrt(rest / (x.length - 2) / sxx);
  return { slope, interval: [slope - half, slope + half] };
}
