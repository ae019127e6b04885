import { type Law, map, regress } from './law.js';

/** A = c·x^α: limit against scale. p = alpha, c; a negative exponent falls. */
export const power: Law = {
  id: 'power',
  title: 'Power law',
  formula: 'A = c*x^alpha',
  tex: 'A = c\\,x^{\\alpha}',
  source: 'limit against scale',
  parameters: [
    {
      name: 'alpha',
      meaning: 'exponent of x',
      unit: '1',
      lower: -20,
      upper: 20,
      transform: 'identity',
      kind: 'exponent',
    },
    {
      name: 'c',
      meaning: 'value at x = 1',
      unit: 'y/x^alpha',
      lower: null,
      upper: null,
      transform: 'log',
      kind: 'scale',
    },
  ],
  shape: 'either',
  positiveX: true,
  value: (x, p) => p[1]! * x ** p[0]!,
  gradient(x, p, out) {
    const raised = x ** p[0]!;
    out[0] = p[1]! * raised * Math.log(x);
    out[1] = raised;
  },
  slope: (x, p) => p[1]! * p[0]! * x ** (p[0]! - 1),
  limit: null,
  startDimensions: 0,
  start(_u, { x, y }) {
    const positive = map(y, (value) => Math.log(Math.max(value, 1e-300)));
    const { intercept, slope } = regress(map(x, Math.log), positive);
    return [slope, Math.exp(intercept)];
  },
};
