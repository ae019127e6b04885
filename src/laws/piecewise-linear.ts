import { type Law, limitParameter, map, noOffset, regress } from './law.js';

/**
 * A = A0 − s·max(0, k − x): a straight line up to the bottleneck k, flat after it (arXiv 2411.02335, Fig. 5: the
 * limit activation ratio against width/depth). p = s, k, A0. Not differentiable at x = k; the gradient is that of
 * the flat side there.
 */
export const piecewiseLinear: Law = {
  id: 'piecewise-linear',
  title: 'Line up to a bottleneck',
  formula: 'A = A0 - s*max(0, k - x)',
  tex: 'A = A_0 - s\\,\\max(0, k - x)',
  source: 'arXiv 2411.02335, Fig. 5 (width-depth ratio)',
  parameters: [
    {
      name: 's',
      meaning: 'slope before the bottleneck',
      unit: 'y/x',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'coefficient',
    },
    {
      name: 'k',
      meaning: 'bottleneck: where the line ends',
      unit: 'x',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'location',
    },
    { ...limitParameter, meaning: 'value beyond the bottleneck', lower: null },
  ],
  shape: 'either',
  positiveX: false,
  value: (x, p) => p[2]! - p[0]! * Math.max(0, p[1]! - x),
  gradient(x, p, out) {
    const before = x < p[1]!;
    out[0] = before ? x - p[1]! : 0;
    out[1] = before ? -p[0]! : 0;
    out[2] = 1;
  },
  slope: (x, p) => (x < p[1]! ? p[0]! : 0),
  limit: { parameter: 'A0', offset: noOffset },
  startDimensions: 1,
  start(u, { x, y }) {
    // The sum of squares has a minimum of its own between every two x: spread the starts over the gaps, at least
    // two points before the bottleneck and one after it.
    const last = x.length - 1;
    const place = 1 + u[0]! * Math.max(last - 1, 0);
    const i = Math.min(Math.floor(place), Math.max(last - 1, 0));
    const k = x[i]! + (place - i) * (x[Math.min(i + 1, last)]! - x[i]!);
    const { intercept, slope } = regress(
      map(x, (value) => Math.max(0, k - value)),
      y,
    );
    return [-slope, k, intercept];
  },
};
