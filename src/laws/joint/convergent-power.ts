import { exponentParameter, type LawParameter, limitParameter, logBetween, map, regress } from '../law.js';
import type { JointLaw, RunPoints } from './joint-law.js';

const alpha: LawParameter = { ...exponentParameter, meaning: 'exponent of the tokens' };
const beta: LawParameter = {
  name: 'beta',
  meaning: 'exponent of the parameters',
  unit: '1',
  lower: -20,
  upper: 20,
  transform: 'identity',
  kind: 'coefficient',
};
const c: LawParameter = {
  name: 'c',
  meaning: 'distance below the limit at x = 1, N = 1',
  unit: 'y',
  lower: null,
  upper: null,
  transform: 'log',
  kind: 'scale',
};

/** α and β from the cube; c from the pooled slope within runs. */
function startShared(u: ArrayLike<number>, runs: readonly RunPoints[]): [number, number, number] {
  const exponent = logBetween(u[0]!, 0.1, 3);
  const scaling = -1 + 2 * u[1]!;
  const slopes = runs.map(
    ({ x, y, scale }) =>
      -regress(
        map(x, (value) => scale ** scaling * value ** -exponent),
        y,
      ).slope,
  );
  const positive = slopes.filter((slope) => slope > 0);
  const pooled = positive.reduce((sum, slope) => sum + Math.log(slope), 0) / (positive.length || 1);
  return [exponent, scaling, Math.exp(pooled)];
}

/** A = A0_r − c·N^β·x^(−α): SiLU over scales, each run with its own limit. shared = alpha, beta, c; effects = A0. */
export const jointConvergentPower: JointLaw = {
  id: 'joint-convergent-power',
  title: 'Convergent power law over scales, own limits',
  formula: 'A = A0_r - c*N^beta*x^(-alpha)',
  tex: 'A = A_{0,r} - c\\,N^{\\beta} x^{-\\alpha}',
  source: 'ours, after arXiv 2411.02335, Eq. 5',
  shared: [alpha, beta, c],
  effects: [limitParameter],
  separate: 'convergent-power',
  value: (x, n, s, e) => e[0]! - s[2]! * n ** s[1]! * x ** -s[0]!,
  gradient(x, n, s, _e, out) {
    const power = n ** s[1]! * x ** -s[0]!;
    out[0] = s[2]! * power * Math.log(x);
    out[1] = -s[2]! * power * Math.log(n);
    out[2] = -power;
    out[3] = 1;
  },
  startDimensions: 2,
  start: startShared,
  startEffects(s, { x, y, scale }) {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += y[i]! + s[2]! * scale ** s[1]! * x[i]! ** -s[0]!;
    return [Math.max(0, sum / x.length)];
  },
};

/** The same with limits on a line in ln N and no run effects. shared = alpha, beta, c, a, s. */
export const jointConvergentPowerFixed: JointLaw = {
  id: 'joint-convergent-power-fixed',
  title: 'Convergent power law over scales, limits linear in ln N',
  formula: 'A = a + s*ln(N) - c*N^beta*x^(-alpha)',
  tex: 'A = a + s\\ln N - c\\,N^{\\beta} x^{-\\alpha}',
  source: 'ours, after arXiv 2411.02335, Eq. 5 and Fig. 7',
  shared: [
    alpha,
    beta,
    c,
    {
      name: 'a',
      meaning: 'limit at N = 1',
      unit: 'y',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'limit',
    },
    {
      name: 's',
      meaning: 'change of the limit for a factor e of N',
      unit: 'y',
      lower: null,
      upper: null,
      transform: 'identity',
      kind: 'coefficient',
    },
  ],
  effects: [],
  separate: 'convergent-power',
  value: (x, n, s) => s[3]! + s[4]! * Math.log(n) - s[2]! * n ** s[1]! * x ** -s[0]!,
  gradient(x, n, s, _e, out) {
    const power = n ** s[1]! * x ** -s[0]!;
    out[0] = s[2]! * power * Math.log(x);
    out[1] = -s[2]! * power * Math.log(n);
    out[2] = -power;
    out[3] = 1;
    out[4] = Math.log(n);
  },
  startDimensions: 2,
  start(u, runs) {
    const shared = startShared(u, runs);
    const limits = runs.map((run) => jointConvergentPower.startEffects(shared, run)[0]!);
    const { intercept, slope } = regress(
      runs.map(({ scale }) => Math.log(scale)),
      limits,
    );
    return [...shared, intercept, slope];
  },
  startEffects: () => [],
};
