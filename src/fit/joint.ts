import type { JointFit } from '../files/fit.js';
import { findJointLaw, type JointLaw, type RunPoints } from '../laws/joint/index.js';
import type { LawParameter } from '../laws/law.js';
import { type EstimatedProblem, estimateProblem, finiteOrNull } from './estimate.js';
import { toEstimate } from './fit-law.js';
import { fitPoints } from './fit-points.js';
import { judge } from './identification.js';
import { solve } from './levenberg-marquardt.js';
import type { FitOptions } from './options.js';
import { type LeastSquares, weighted } from './problem.js';
import { haltonPoint } from './quasi-random.js';
import type { Series } from './series.js';
import { aicc } from './statistics.js';
import { lawById } from './work.js';

const JOINT_STARTS = 48;
const LEFT_OUT_STARTS = 16;
/** χ²/n beyond this is a joint law that fails where separate fits do not. */
const POOR_FIT = 2;

/** Residuals of all runs, one after another; parameters: the shared ones, then each run's effects. */
export function jointProblem(law: JointLaw, runs: readonly RunPoints[]): LeastSquares {
  const s = law.shared.length;
  const e = law.effects.length;
  const k = s + e * runs.length;
  const points = runs.reduce((sum, run) => sum + run.x.length, 0);
  const named = (parameter: LawParameter, run: string): LawParameter => ({
    ...parameter,
    name: `${parameter.name}[${run}]`,
  });
  const target = new Float64Array(points);
  let at = 0;
  for (const { y } of runs) {
    target.set(y, at);
    at += y.length;
  }
  const row = new Float64Array(s + e);
  const each = (visit: (run: number, x: number, i: number) => void) => {
    let i = 0;
    for (const [r, { x }] of runs.entries()) for (const value of x) visit(r, value, i++);
  };
  const effectsOf = (p: Float64Array, r: number) => p.subarray(s + e * r, s + e * (r + 1));
  return {
    points,
    parameters: [...law.shared, ...runs.flatMap(({ run }) => law.effects.map((own) => named(own, run)))],
    target,
    values(p, out) {
      each((r, x, i) => {
        out[i] = law.value(x, runs[r]!.scale, p, effectsOf(p, r));
      });
    },
    jacobian(p, out) {
      out.fill(0);
      each((r, x, i) => {
        law.gradient(x, runs[r]!.scale, p, effectsOf(p, r), row);
        for (let j = 0; j < s; j++) out[i * k + j] = row[j]!;
        for (let j = 0; j < e; j++) out[i * k + s + e * r + j] = row[s + j]!;
      });
    },
  };
}

function* jointStarts(law: JointLaw, runs: readonly RunPoints[], total: number) {
  for (let i = 0; i < total; i++) {
    const shared = law.start(haltonPoint(i, law.startDimensions), runs);
    yield [...shared, ...runs.flatMap((run) => law.startEffects(shared, run))];
  }
}

/** Each point's σ: that of its run's separate fit. */
const sigmasOf = (runs: readonly RunPoints[], sigma: readonly number[]) =>
  runs.flatMap(({ x }, r) => Array.from(x, () => sigma[r]!));

function fitRuns(
  law: JointLaw,
  runs: readonly RunPoints[],
  sigma: readonly number[],
  starts: number,
  options: Pick<FitOptions, 'level'>,
  intervals: 'profile' | 'none',
): { problem: LeastSquares; estimated: EstimatedProblem } | null {
  const problem = weighted(jointProblem(law, runs), sigmasOf(runs, sigma));
  const estimated = estimateProblem(problem, {
    starts: jointStarts(law, runs, starts),
    totalStarts: starts,
    level: options.level,
    intervals,
  });
  return estimated && { problem, estimated };
}

/** Splits a group's points into its runs, smallest model first; a string says why it cannot be done. */
export function runsOf(series: Series, xUnit: number, dropFirst: number): RunPoints[] | string {
  if (!series.clusters || series.clusterNames.length < 2) return 'the group holds a single run';
  const runs = series.clusterNames.map((run, c): RunPoints & { size: number | null } => {
    const rows = Array.from(series.x, (_, i) => i).filter((i) => series.clusters![i] === c);
    const kept = rows.slice(dropFirst);
    return {
      run,
      scale: (series.clusterParameters[c] ?? Number.NaN) / xUnit,
      size: series.clusterParameters[c] ?? null,
      x: Float64Array.from(kept, (i) => series.x[i]!),
      y: Float64Array.from(kept, (i) => series.y[i]!),
    };
  });
  const unknown = runs.find(({ size }) => size === null);
  if (unknown) return `the parameters of run ${unknown.run} are not in the table`;
  return runs.sort((a, b) => a.scale - b.scale);
}

/** N is counted in billions, like tokens. */
const PARAMETERS_UNIT = 1e9;

/** A law over all runs of a group; a string says why there is none. */
export function fitJoint(id: string, series: Series, options: FitOptions): JointFit | string {
  const law = findJointLaw(id)!;
  const runs = runsOf(series, PARAMETERS_UNIT, options.dropFirst);
  if (typeof runs === 'string') return runs;
  const single = lawById(law.separate);
  const separate = runs.map(({ x, y }) =>
    x.length > single.parameters.length ? fitPoints(single, x, y, { intervals: 'none' }) : null,
  );
  const few = separate.indexOf(null);
  if (few >= 0) return `run ${runs[few]!.run} has too few points for ${law.separate}`;
  const sigma = separate.map((fit) => Math.sqrt(fit!.estimated.variance));
  if (sigma.some((value) => !(value > 0))) return 'a run without noise: its σ is 0';
  const fitted = fitRuns(law, runs, sigma, JOINT_STARTS, options, 'profile');
  if (!fitted) return 'no starting point gives finite values';
  const { problem, estimated } = fitted;
  const { solution } = estimated;
  const n = problem.points;
  const k = problem.parameters.length;
  const plain = jointProblem(law, runs);
  const values = new Float64Array(n);
  plain.values(solution.p, values);
  const residuals = values.map((value, i) => plain.target[i]! - value);
  const reasons: string[] = [];
  const parameters = Object.fromEntries(
    problem.parameters.map((parameter, j) => {
      const own = estimated.parameters[j]!;
      const { verdict, reason } = judge(parameter, own);
      if (reason) reasons.push(reason);
      return [parameter.name, toEstimate(own, verdict)];
    }),
  );
  const chiSquarePerPoint = solution.sse / n;
  if (chiSquarePerPoint > POOR_FIT) {
    reasons.push(
      `χ²/n is ${chiSquarePerPoint.toPrecision(2)}: the runs do not follow this law together as they do alone`,
    );
  }
  const verdicts = Object.values(parameters).map(({ verdict }) => verdict);
  let at = 0;
  return {
    group: series.group,
    law: law.id,
    formula: law.formula,
    tex: law.tex,
    n,
    runs: runs.map(({ run, scale, x }) => {
      const own = residuals.slice(at, at + x.length);
      at += x.length;
      const rms = Math.sqrt(own.reduce((sum, r) => sum + r * r, 0) / x.length);
      return { run, scale, n: x.length, sigma: finiteOrNull(rms) };
    }),
    parameters,
    sse: residuals.reduce((sum, r) => sum + r * r, 0),
    chiSquarePerPoint,
    parameterCount: k,
    separateParameterCount: runs.length * single.parameters.length,
    aicc: aicc(solution.sse, n, k),
    conditionNumber: estimated.covariance?.conditionNumber ?? null,
    converged: solution.converged,
    verdict: !solution.converged
      ? 'not-converged'
      : verdicts.includes('at-bound')
        ? 'at-bound'
        : verdicts.includes('weakly-identified') || chiSquarePerPoint > POOR_FIT
          ? 'weakly-identified'
          : 'ok',
    reasons,
    starts: estimated.starts,
    leaveOneScaleOut:
      runs.length > 2
        ? runs.map((_, left) =>
            leaveOut(law, runs, left, sigma, separate[left]!.estimated.solution.sse, options),
          )
        : [],
  };
}

/** The law of the other runs on the run left out: with the run's own effects fitted, and with nothing of it. */
function leaveOut(
  law: JointLaw,
  runs: readonly RunPoints[],
  left: number,
  sigma: readonly number[],
  separateSse: number,
  options: FitOptions,
): JointFit['leaveOneScaleOut'][number] {
  const run = runs[left]!;
  const n = run.x.length;
  const identity = { run: run.run, scale: run.scale, rmseSeparate: Math.sqrt(separateSse / n) };
  const others = runs.filter((_, r) => r !== left);
  const fitted = fitRuns(
    law,
    others,
    sigma.filter((_, r) => r !== left),
    LEFT_OUT_STARTS,
    options,
    'none',
  );
  if (!fitted) return { ...identity, rmseShape: null, rmseForecast: null };
  const shared = fitted.estimated.solution.p.slice(0, law.shared.length);
  const alone = jointProblem(law, [run]);
  const start = Float64Array.from([...shared, ...law.startEffects(shared, run)]);
  const fixed = alone.parameters.map((_, j) => j < law.shared.length);
  const shape = solve(alone, start, { fixed });
  const rmseShape = finiteOrNull(Math.sqrt(shape.sse / n));
  return { ...identity, rmseShape, rmseForecast: law.effects.length === 0 ? rmseShape : null };
}
