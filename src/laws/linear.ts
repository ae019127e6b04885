import { type Law, regress } from './law.js';

/** A = a + s·x: a straight line. p = a, s. */
export const linear: Law = {
  id: 'linear',
  title: 'Straight line',
  formula: 'A = a + s*x',
  tex: 'A = a + s\\,x',
  source: 'baseline',
  parameters: [
    {
      name: 'a',
      meaning: 'value at x = 0',
      unit: 'y',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'level',
    },
    {
      name: 's',
      meaning: 'slope',
      unit: 'y/x',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'coefficient',
    },
  ],
  shape: 'either',
  positiveX: false,
  value: (x, p) => p[0]! + p[1]! * x,
  gradient(x, _p, out) {
    out[0] = 1;
    out[1] = x;
  },
  slope: (_x, p) => p[1]!,
  limit: null,
  startDimensions: 0,
  start(_u, { x, y }) {
    const { intercept, slope } = regress(x, y);
    return [intercept, slope];
  },
};
