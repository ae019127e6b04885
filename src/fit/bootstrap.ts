import type { Fit } from '../files/fit.js';
import type { Law } from '../laws/law.js';
import { type RandomStream, randomStream } from '../random.js';
import { neighbourCorrelations } from './autocorrelation.js';
import { limitOf } from './convergence.js';
import { sampleQuantile } from './distributions.js';
import { fitHuber } from './huber.js';
import { solve } from './levenberg-marquardt.js';
import type { FitOptions } from './options.js';
import { decorrelated, type LeastSquares, lawProblem, logarithmic, withTarget } from './problem.js';
import { groupName, type Series, slice } from './series.js';
import { mean, standardDeviation } from './statistics.js';

/** A range of replicates of one fit: what a worker gets. */
export interface BootstrapTask {
  series: Series;
  options: FitOptions;
  /** The fit's parameters, in the law's order. */
  p: number[];
  /** Correlation length of the fit, where noise is correlated. */
  correlationLength: number | null;
  from: number;
  to: number;
}

export interface BootstrapPart {
  /** Row-major [to − from, parameters]; NaN where a replicate has no finite fit. */
  parameters: Float64Array;
  /** Replicates whose fit did not converge; their values are used all the same. */
  unconverged: number;
}

const REPLICATE_ITERATIONS = 60;

/**
 * Refits replicates `from` … `to` − 1. Each draws from its own named stream, so a replicate's numbers depend on the
 * seed, the group, the law and its index, not on which thread computes it.
 */
export function bootstrapPart(law: Law, task: BootstrapTask): BootstrapPart {
  const { options, p, from, to } = task;
  const series = slice(task.series, Math.min(options.dropFirst, task.series.x.length));
  const k = law.parameters.length;
  const parameters = new Float64Array((to - from) * k).fill(Number.NaN);
  let unconverged = 0;
  const name = `bootstrap/${options.bootstrap.scheme}/${groupName(series.group)}/${law.id}`;
  const draw =
    options.bootstrap.scheme === 'cluster'
      ? clusterSampler(law, series, options)
      : residualSampler(law, series, task);
  for (let replicate = from; replicate < to; replicate++) {
    const problem = draw(randomStream(options.bootstrap.seed, `${name}/${replicate}`));
    const solution =
      options.loss === 'huber'
        ? fitHuber(problem, p)?.solution
        : solve(problem, p, { maxIterations: REPLICATE_ITERATIONS });
    if (!solution || !Number.isFinite(solution.sse)) {
      unconverged++;
      continue;
    }
    if (!solution.converged) unconverged++;
    parameters.set(solution.p, (replicate - from) * k);
  }
  return { parameters, unconverged };
}

/** n whole numbers in [0, below); the bias of below/2³² is beyond any bootstrap's resolution. */
const indices = (stream: RandomStream, n: number, below: number) =>
  Uint32Array.from(stream.uint32(n), (word) => Math.floor((word / 2 ** 32) * below));

/**
 * Residuals resampled with replacement around the fitted curve: centred, and widened by √(n/(n − k)) for the
 * parameters they were fitted with. Correlated residuals are resampled after whitening.
 */
function residualSampler(law: Law, { x, y }: Series, { options, p, correlationLength }: BootstrapTask) {
  const plain = lawProblem(law, x, y);
  const scaled = options.loss === 'log' ? logarithmic(plain) : plain;
  const problem: LeastSquares =
    correlationLength === null ? scaled : decorrelated(scaled, neighbourCorrelations(x, correlationLength));
  const n = x.length;
  const values = new Float64Array(n);
  problem.values(Float64Array.from(p), values);
  const raw = values.map((value, i) => problem.target[i]! - value);
  const center = mean(raw);
  const widen = Math.sqrt(n / (n - p.length));
  const residuals = raw.map((value) => (value - center) * widen);
  return (stream: RandomStream) => {
    const chosen = indices(stream, n, n);
    return withTarget(
      problem,
      values.map((value, i) => value + residuals[chosen[i]!]!),
    );
  };
}

/** Whole runs (or seeds) resampled with replacement, each with all its points. */
function clusterSampler(law: Law, { x, y, clusters, clusterNames }: Series, options: FitOptions) {
  const members = clusterNames.map(() => [] as number[]);
  for (let i = 0; i < x.length; i++) members[clusters?.[i] ?? 0]!.push(i);
  const runs = members.filter((rows) => rows.length > 0);
  return (stream: RandomStream) => {
    const rows = Array.from(indices(stream, runs.length, runs.length), (run) => runs[run]!).flat();
    rows.sort((a, b) => x[a]! - x[b]!);
    const problem = lawProblem(
      law,
      Float64Array.from(rows, (i) => x[i]!),
      Float64Array.from(rows, (i) => y[i]!),
    );
    return options.loss === 'log' ? logarithmic(problem) : problem;
  };
}

/** Percentile intervals and standard deviations over all replicates. */
export function summariseBootstrap(
  law: Law,
  parts: readonly BootstrapPart[],
  options: FitOptions,
): NonNullable<Fit['bootstrap']> {
  const k = law.parameters.length;
  const rows: Float64Array[] = [];
  for (const { parameters } of parts) {
    for (let at = 0; at < parameters.length; at += k) {
      const row = parameters.subarray(at, at + k);
      if (row.every(Number.isFinite)) rows.push(row);
    }
  }
  const summary = (of: (row: Float64Array) => number) => {
    const sample = Float64Array.from(rows, of).sort();
    const tail = (1 - options.level) / 2;
    return {
      standardError: standardDeviation(sample),
      interval: [sampleQuantile(sample, tail), sampleQuantile(sample, 1 - tail)] as [number, number],
    };
  };
  return {
    ...options.bootstrap,
    failed: parts.reduce((sum, part) => sum + part.unconverged, 0),
    parameters:
      rows.length > 1
        ? Object.fromEntries(law.parameters.map(({ name }, j) => [name, summary((row) => row[j]!)]))
        : {},
    limit: law.limit && rows.length > 1 ? summary((row) => limitOf(law, row)!) : null,
  };
}
