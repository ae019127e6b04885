import { type Law, logBetween, map, regress } from './law.js';

/** A = A0 + c·ln(x + d0): the rebuttal's logarithm without the factor inside that only shifts A0. p = A0, c, d0. */
export const log: Law = {
  id: 'log',
  title: 'Logarithm',
  formula: 'A = A0 + c*ln(x + d0)',
  tex: 'A = A_0 + c\\,\\ln(x + d_0)',
  source: "the authors' rebuttal baseline c*log(a*x + b) + A0, with a absorbed into A0",
  parameters: [
    {
      name: 'A0',
      meaning: 'value where x + d0 = 1',
      unit: 'y',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'level',
    },
    {
      name: 'c',
      meaning: 'change of y for a factor e of x + d0',
      unit: 'y',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'coefficient',
    },
    {
      name: 'd0',
      meaning: 'shift of x; above minus the smallest x',
      unit: 'x',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'location',
    },
  ],
  shape: 'either',
  positiveX: true,
  value: (x, p) => p[0]! + p[1]! * Math.log(x + p[2]!),
  gradient(x, p, out) {
    out[0] = 1;
    out[1] = Math.log(x + p[2]!);
    out[2] = p[1]! / (x + p[2]!);
  },
  slope: (x, p) => p[1]! / (x + p[2]!),
  limit: null,
  startDimensions: 1,
  start(u, { x, y }) {
    // From just above −x₀, where the logarithm begins, to a shift as long as the series.
    const d0 = logBetween(u[0]!, 0.01 * x[0]! || 1e-3, x[0]! + x[x.length - 1]!) - x[0]!;
    const { intercept, slope } = regress(
      map(x, (value) => Math.log(value + d0)),
      y,
    );
    return [intercept, slope, d0];
  },
};
