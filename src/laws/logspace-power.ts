import {
  exponentParameter,
  type Law,
  limitParameter,
  logBetween,
  map,
  middle,
  noOffset,
  regress,
  spread,
} from './law.js';

/** A = exp(−c·x^α + b) + A0: the paper's law for ReLU (arXiv 2411.02335, Eq. 4). p = alpha, b, c, A0. */
export const logspacePower: Law = {
  id: 'logspace-power',
  title: 'Logspace power law',
  formula: 'A = exp(-c*x^alpha + b) + A0',
  tex: 'A = \\exp(-c\\,x^{\\alpha} + b) + A_0',
  source: 'arXiv 2411.02335, Eq. 4 (ReLU)',
  parameters: [
    exponentParameter,
    {
      name: 'b',
      meaning: 'logarithm of what lies above the limit at x = 0',
      unit: '1',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'exponent',
    },
    {
      name: 'c',
      meaning: 'rate of the decay',
      unit: '1/x^alpha',
      lower: null,
      upper: null,
      transform: 'log',
      kind: 'scale',
    },
    limitParameter,
  ],
  shape: 'decreasing',
  positiveX: false,
  value: (x, p) => Math.exp(p[1]! - p[2]! * x ** p[0]!) + p[3]!,
  gradient(x, p, out) {
    const power = x ** p[0]!;
    const decay = Math.exp(p[1]! - p[2]! * power);
    out[0] = x > 0 ? -decay * p[2]! * power * Math.log(x) : 0;
    out[1] = decay;
    out[2] = -decay * power;
    out[3] = 1;
  },
  slope(x, p) {
    const power = x ** p[0]!;
    return (-Math.exp(p[1]! - p[2]! * power) * p[2]! * p[0]! * power) / x;
  },
  limit: { parameter: 'A0', offset: noOffset },
  startDimensions: 2,
  start(u, { x, y }) {
    const alpha = logBetween(u[0]!, 0.05, 4);
    // c·x^α at the middle of the data: from a start that has hardly decayed to one that is long done.
    const c = logBetween(u[1]!, 0.02, 20) / middle(x) ** alpha;
    const { intercept, slope } = regress(
      map(x, (value) => Math.exp(-c * value ** alpha)),
      y,
    );
    const height = slope > 0 ? slope : spread(y);
    return [alpha, Math.log(height), c, Math.max(intercept, 0)];
  },
};
