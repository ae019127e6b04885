import {
  exponentParameter,
  type Law,
  limitParameter,
  logBetween,
  map,
  noOffset,
  regress,
  spread,
} from './law.js';

/** A = A0 + c·x^(−α): a power law over a floor, for activation ratios and for losses. p = alpha, c, A0. */
export const offsetPower: Law = {
  id: 'offset-power',
  title: 'Power law over a floor',
  formula: 'A = A0 + c*x^(-alpha)',
  tex: 'A = A_0 + c\\,x^{-\\alpha}',
  source: 'the usual form of loss laws (arXiv 2001.08361, 2203.15556)',
  parameters: [
    exponentParameter,
    {
      name: 'c',
      meaning: 'height above the limit at x = 1',
      unit: 'y*x^alpha',
      lower: null,
      upper: null,
      transform: 'log',
      kind: 'scale',
    },
    limitParameter,
  ],
  shape: 'decreasing',
  positiveX: true,
  value: (x, p) => p[2]! + p[1]! * x ** -p[0]!,
  gradient(x, p, out) {
    const power = x ** -p[0]!;
    out[0] = -p[1]! * power * Math.log(x);
    out[1] = power;
    out[2] = 1;
  },
  slope: (x, p) => -p[1]! * p[0]! * x ** (-p[0]! - 1),
  limit: { parameter: 'A0', offset: noOffset },
  startDimensions: 1,
  start(u, { x, y }) {
    const alpha = logBetween(u[0]!, 0.05, 4);
    const { intercept, slope } = regress(
      map(x, (value) => value ** -alpha),
      y,
    );
    return [alpha, slope > 0 ? slope : spread(y) * x[0]! ** alpha, Math.max(intercept, 0)];
  },
};
