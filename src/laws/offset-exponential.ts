import { type Law, limitParameter, logBetween, map, middle, noOffset, regress } from './law.js';

/** A = A0 + c·exp(−k·x): an exponential approach from above (c > 0) or below (c < 0). p = k, c, A0. */
export const offsetExponential: Law = {
  id: 'offset-exponential',
  title: 'Exponential over a floor',
  formula: 'A = A0 + c*exp(-k*x)',
  tex: 'A = A_0 + c\\,e^{-k x}',
  source: 'the logspace power law with alpha = 1',
  parameters: [
    {
      name: 'k',
      meaning: 'rate of the decay',
      unit: '1/x',
      lower: null,
      upper: null,
      transform: 'log',
      kind: 'scale',
    },
    {
      name: 'c',
      meaning: 'distance from the limit at x = 0',
      unit: 'y',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'coefficient',
    },
    limitParameter,
  ],
  shape: 'either',
  positiveX: false,
  value: (x, p) => p[2]! + p[1]! * Math.exp(-p[0]! * x),
  gradient(x, p, out) {
    const decay = Math.exp(-p[0]! * x);
    out[0] = -p[1]! * x * decay;
    out[1] = decay;
    out[2] = 1;
  },
  slope: (x, p) => -p[0]! * p[1]! * Math.exp(-p[0]! * x),
  limit: { parameter: 'A0', offset: noOffset },
  startDimensions: 1,
  start(u, { x, y }) {
    const k = logBetween(u[0]!, 0.02, 20) / middle(x);
    const { intercept, slope } = regress(
      map(x, (value) => Math.exp(-k * value)),
      y,
    );
    return [k, slope, Math.max(intercept, 0)];
  },
};
