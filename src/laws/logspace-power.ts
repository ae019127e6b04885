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
  /**
   * alpha, h, s, A0 with h the logarithm of what lies above the limit at the middle m of the data and s its slope
   * against ln x there: A = exp(h − (s/alpha)·((x/m)^alpha − 1)) + A0. As alpha → 0, b and c run to infinity together
   * while h and s stay: the law becomes the power law e^h·(x/m)^(−s) + A0.
   */
  working(data) {
    const m = middle(data.x);
    const logM = Math.log(m);
    return {
      parameters: [
        exponentParameter,
        {
          name: 'h',
          meaning: 'logarithm of what lies above the limit in the middle',
          unit: '1',
          lower: null,
          upper: null,
          transform: 'identity',
          kind: 'exponent',
        },
        {
          name: 's',
          meaning: 'slope of that logarithm against ln x in the middle',
          unit: '1',
          lower: null,
          upper: null,
          transform: 'log',
          kind: 'scale',
        },
        limitParameter,
      ],
      toWorking(p) {
        const decayed = p[2]! * m ** p[0]!;
        return [p[0]!, p[1]! - decayed, decayed * p[0]!, p[3]!];
      },
      fromWorking(q) {
        const decayed = q[2]! / q[0]!;
        return [q[0]!, q[1]! + decayed, decayed * m ** -q[0]!, q[3]!];
      },
      derivatives(q, out) {
        const [alpha, slope] = [q[0]!, q[2]!];
        const power = m ** -alpha;
        out.fill(0);
        out[0] = 1;
        out[4] = -slope / alpha ** 2;
        out[5] = 1;
        out[6] = 1 / alpha;
        out[8] = -power * (slope / alpha) * (1 / alpha + logM);
        out[10] = power / alpha;
        out[15] = 1;
      },
      shared: [0, 3],
    };
  },
};
