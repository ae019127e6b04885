import { type Law, limitParameter, noOffset } from './law.js';

/** A = A0: nothing depends on x. The rival every trend has to beat. p = A0. */
export const constant: Law = {
  id: 'constant',
  title: 'Constant',
  formula: 'A = A0',
  tex: 'A = A_0',
  source: 'baseline',
  parameters: [{ ...limitParameter, meaning: 'the value', lower: null }],
  shape: 'either',
  positiveX: false,
  value: (_x, p) => p[0]!,
  gradient(_x, _p, out) {
    out[0] = 1;
  },
  slope: () => 0,
  limit: { parameter: 'A0', offset: noOffset },
  startDimensions: 0,
  start(_u, { y }) {
    let sum = 0;
    for (let i = 0; i < y.length; i++) sum += y[i]!;
    return [sum / y.length];
  },
};
