import { type Law, middle } from './law.js';

const logistic = (z: number) => 1 / (1 + Math.exp(z));

/** A = a − 1/(1 + exp(c·x + d)): the rebuttal's sigmoid without the factor that d absorbs. p = a, c, d. */
export const sigmoid: Law = {
  id: 'sigmoid',
  title: 'Sigmoid of height 1',
  formula: 'A = a - 1/(1 + exp(c*x + d))',
  tex: 'A = a - \\frac{1}{1 + e^{c x + d}}',
  source: "the authors' rebuttal baseline a - 1/(1 + b*exp(c*x + d)), with b absorbed into d",
  parameters: [
    {
      name: 'a',
      meaning: 'upper asymptote',
      unit: 'y',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'level',
    },
    {
      name: 'c',
      meaning: 'rate; its sign is the direction',
      unit: '1/x',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'coefficient',
    },
    {
      name: 'd',
      meaning: 'exponent at x = 0',
      unit: '1',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'exponent',
    },
  ],
  shape: 'either',
  positiveX: false,
  value: (x, p) => p[0]! - logistic(p[1]! * x + p[2]!),
  gradient(x, p, out) {
    const s = logistic(p[1]! * x + p[2]!);
    const steepness = s * (1 - s);
    out[0] = 1;
    out[1] = steepness * x;
    out[2] = steepness;
  },
  slope(x, p) {
    const s = logistic(p[1]! * x + p[2]!);
    return s * (1 - s) * p[1]!;
  },
  limit: { parameter: 'a', offset: (p) => (p[1]! > 0 ? 0 : p[1]! < 0 ? -1 : -logistic(p[2]!)) },
  startDimensions: 2,
  start(u, { x, y }) {
    const n = y.length;
    const rising = y[n - 1]! >= y[0]!;
    const rate = Math.exp(Math.log(0.005) + u[0]! * Math.log(2000)) / middle(x);
    // Far out on a tail of the unit-high step: the data use a small part of it.
    const offset = 6 * u[1]!;
    const c = rising ? rate : -rate;
    const d = rising ? offset : -offset;
    let mean = 0;
    for (let i = 0; i < n; i++) mean += (y[i]! + logistic(c * x[i]! + d)) / n;
    return [mean, c, d];
  },
};
