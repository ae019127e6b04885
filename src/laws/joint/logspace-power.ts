import { exponentParameter, limitParameter, logBetween, map, middle, regress, spread } from '../law.js';
import type { JointLaw } from './joint-law.js';

/**
 * A = A0_r + exp(b_r − (x/(τ·N^γ))^α): ReLU over scales; each run has its own limit and height, the pace is shared.
 * shared = alpha, tau, gamma; effects = b, A0. No form without run effects was found to fit the authors' runs.
 */
export const jointLogspacePower: JointLaw = {
  id: 'joint-logspace-power',
  title: 'Logspace power law over scales, own limits and heights',
  formula: 'A = A0_r + exp(b_r - (x/(tau*N^gamma))^alpha)',
  tex: 'A = A_{0,r} + \\exp\\bigl(b_r - (x/(\\tau N^{\\gamma}))^{\\alpha}\\bigr)',
  source: 'ours, after arXiv 2411.02335, Eq. 4',
  shared: [
    exponentParameter,
    {
      name: 'tau',
      meaning: 'tokens (1e9) of one e-fold at N = 1',
      unit: 'x',
      lower: null,
      upper: null,
      transform: 'log',
      kind: 'scale',
    },
    {
      name: 'gamma',
      meaning: 'exponent of the parameters in the pace',
      unit: '1',
      lower: -20,
      upper: 20,
      transform: 'identity',
      kind: 'coefficient',
    },
  ],
  effects: [
    {
      name: 'b',
      meaning: 'logarithm of what lies above the limit at x = 0',
      unit: '1',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'exponent',
    },
    limitParameter,
  ],
  separate: 'logspace-power',
  value: (x, n, s, e) => e[1]! + Math.exp(e[0]! - (x / (s[1]! * n ** s[2]!)) ** s[0]!),
  gradient(x, n, s, e, out) {
    const ratio = x / (s[1]! * n ** s[2]!);
    const power = ratio ** s[0]!;
    const height = Math.exp(e[0]! - power);
    out[0] = -height * power * Math.log(ratio);
    out[1] = (height * power * s[0]!) / s[1]!;
    out[2] = height * power * s[0]! * Math.log(n);
    out[3] = height;
    out[4] = 1;
  },
  startDimensions: 3,
  start(u, runs) {
    const gamma = -0.5 + 2 * u[2]!;
    const places = runs.map(({ x, scale }) => middle(x) / scale ** gamma);
    return [logBetween(u[0]!, 0.2, 2.5), logBetween(u[1]!, 0.2, 20) * middle(places), gamma];
  },
  startEffects(s, { x, y, scale }) {
    const decay = map(x, (value) => Math.exp(-((value / (s[1]! * scale ** s[2]!)) ** s[0]!)));
    const { intercept, slope } = regress(decay, y);
    return [Math.log(slope > 0 ? slope : spread(y)), Math.max(0, intercept)];
  },
};
