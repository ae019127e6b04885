import { numericsError, usageError } from '../errors.js';
import { FIT_SCHEMA_VERSION, type Fit, type FitFile, type JointFit, sealFit } from '../files/fit.js';
import { changedTable, wasChanged } from '../files/table.js';
import { sha256File } from '../io/hash.js';
import { findLaw, LAW_IDS } from '../laws/index.js';
import { findJointLaw, JOINT_LAWS } from '../laws/joint/index.js';
import { nearest } from '../nearest.js';
import type { OnProgress } from '../progress.js';
import { type BootstrapPart, summariseBootstrap } from './bootstrap.js';
import { compare, lawsForShape } from './compare.js';
import { fitJoint } from './joint.js';
import { DEFAULT_FIT_OPTIONS, type FitOptions } from './options.js';
import { runJobs } from './pool.js';
import { readSeries, type SeriesRequest, type SeriesTable } from './read-series.js';
import { testScaleDependence } from './scale-test.js';
import { groupName, type Series } from './series.js';
import { type Job, lawById } from './work.js';

export interface FitTableOptions extends Omit<SeriesRequest, 'positiveX'> {
  /** Law ids, or `auto` alone. */
  laws: string[];
  fit?: Partial<Omit<FitOptions, 'xUnit' | 'detail'>>;
  /** `full` or `brief`; by the number of fits when absent. */
  detail?: FitOptions['detail'];
  /** Share a decade below which dependence on scale is called weak. */
  margin?: number;
  threads?: number;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

export interface FittedTable {
  file: FitFile;
  /** Lines for people about rows left out and shortened output. */
  notices: string[];
}

/** More fits than this are written in brief: a page of numbers for each of a thousand groups serves nobody. */
const FULL_DETAIL_FITS = 200;
/** Laws defined at x = 0 and below. */
const ANY_X = LAW_IDS.filter((id) => !findLaw(id)!.positiveX && id !== 'logspace-power');
const REPLICATES_A_JOB = 125;
/** Rough costs, for the decision whether threads are worth starting. */
const FIT_MS = { full: 200, brief: 8 };
const BOOTSTRAP_MS = 150;

/**
 * Fits laws to every group of a table.
 * @throws SparselawError 2 for unknown laws, 3 for bad rows (file, line, column), 5 when no group has a usable fit
 */
export async function fitTable(path: string, options: FitTableOptions): Promise<FittedTable> {
  const auto = options.laws.includes('auto');
  if (auto && options.laws.length > 1) {
    throw usageError('--law auto tries every law; name no other beside it.', { code: 'bad-flag' });
  }
  for (const law of auto ? [] : options.laws) {
    if (findLaw(law) || findJointLaw(law)) continue;
    const known = ['auto', ...LAW_IDS, ...JOINT_LAWS.map(({ id }) => id)];
    // The beginning of a name, or a slip in it.
    const near = known.find((id) => law.length > 2 && id.startsWith(law)) ?? nearest(law, known);
    throw usageError(`--law: there is no law "${law}".${near ? ` Did you mean ${near}?` : ''}`, {
      code: 'unknown-law',
      suggestions: [`The laws are: ${known.join(', ')}.`],
    });
  }
  const jointLaws = options.laws.filter((id) => findJointLaw(id));
  const singleLaws = options.laws.filter((id) => !jointLaws.includes(id));
  const positiveX = auto || jointLaws.length > 0 || options.laws.some((id) => !ANY_X.includes(id));
  const table = await readSeries(path, { ...options, positiveX, joint: singleLaws.length === 0 });
  const plan = table.series.flatMap((series) =>
    (auto ? lawsForShape(series.x, series.y, table.kind === 'fit') : singleLaws).map((law) => ({
      law,
      series,
    })),
  );
  const detail = options.detail ?? (plan.length > FULL_DETAIL_FITS ? 'brief' : 'full');
  const fitOptions: FitOptions = { ...DEFAULT_FIT_OPTIONS, ...options.fit, detail, xUnit: table.xUnit };
  const notices = [...table.notices];
  if (detail === 'brief' && options.detail === undefined) {
    notices.push(
      `${plan.length} fits: sensitivities, variants and points are left out of the file; --detail full writes them.`,
    );
  }
  const fits = await runFits(plan, fitOptions, options);
  if (fitOptions.bootstrap.replicates > 0) await runBootstrap(plan, fits, fitOptions, options);
  const joint: JointResult[] = [];
  if (jointLaws.length > 0) {
    const runs =
      singleLaws.length === 0 ? table : await readSeries(path, { ...options, positiveX, joint: true });
    for (const law of jointLaws) {
      for (const series of runs.series) {
        options.signal?.throwIfAborted();
        joint.push({ law, group: series.group, result: fitJoint(law, series, fitOptions) });
      }
    }
  }
  const file = await assemble(path, table, fits, joint, fitOptions, options, auto);
  if (await wasChanged(path, file.table.sha256)) notices.push(changedTable(path));
  return { file, notices };
}

interface JointResult {
  law: string;
  group: Record<string, string>;
  result: JointFit | string;
}

type Plan = { law: string; series: Series }[];

async function runFits(plan: Plan, fitOptions: FitOptions, options: FitTableOptions): Promise<Fit[]> {
  const jobs: Job[] = plan.map(({ law, series }) => ({ kind: 'fit', law, series, options: fitOptions }));
  const results = await runJobs(jobs, {
    threads: options.threads,
    jobMs: FIT_MS[fitOptions.detail],
    signal: options.signal,
    onDone: (done) => options.onProgress?.({ task: 'fit', done, total: jobs.length, unit: 'fits' }),
  });
  return results as Fit[];
}

/** Adds bootstrap intervals to the fits that have numbers; replicates are split into jobs by their index. */
async function runBootstrap(
  plan: Plan,
  fits: Fit[],
  fitOptions: FitOptions,
  options: FitTableOptions,
): Promise<void> {
  const { replicates, scheme } = fitOptions.bootstrap;
  const jobs: Job[] = [];
  const owners: number[] = [];
  for (const [index, fit] of fits.entries()) {
    const { law, series } = plan[index]!;
    if (!fit.converged) continue;
    if (scheme === 'cluster' && series.clusterNames.length < 2) {
      throw usageError(`--cluster: the group ${groupName(series.group)} holds a single run.`, {
        code: 'bad-flag',
        suggestions: [
          'Group by fewer columns, so that each group pools several runs, or use the residual bootstrap.',
        ],
      });
    }
    const p = lawById(law).parameters.map(({ name }) => fit.parameters[name]!.estimate);
    const correlationLength =
      fitOptions.noise === 'correlated' ? (fit.autocorrelation?.length ?? null) : null;
    for (let from = 0; from < replicates; from += REPLICATES_A_JOB) {
      const to = Math.min(from + REPLICATES_A_JOB, replicates);
      jobs.push({
        kind: 'bootstrap',
        law,
        task: { series, options: fitOptions, p, correlationLength, from, to },
      });
      owners.push(index);
    }
  }
  const parts = (await runJobs(jobs, {
    threads: options.threads,
    jobMs: BOOTSTRAP_MS,
    signal: options.signal,
    onDone: (done) => options.onProgress?.({ task: 'bootstrap', done, total: jobs.length, unit: 'parts' }),
  })) as BootstrapPart[];
  for (const [index, fit] of fits.entries()) {
    const own = parts.filter((_, job) => owners[job] === index);
    if (own.length > 0) fit.bootstrap = summariseBootstrap(lawById(fit.law), own, fitOptions);
  }
}

async function assemble(
  path: string,
  table: SeriesTable,
  fits: Fit[],
  joint: JointResult[],
  fitOptions: FitOptions,
  options: FitTableOptions,
  auto: boolean,
): Promise<FitFile> {
  const groups = new Map<string, Fit[]>();
  for (const fit of fits) {
    const key = JSON.stringify(fit.group);
    groups.set(key, [...(groups.get(key) ?? []), fit]);
  }
  const failed = fits
    .filter((fit) => fit.verdict === 'not-converged' || fit.verdict === 'too-few-points')
    .map(({ group, law, reasons }) => ({ group, law, reason: reasons[0] ?? 'no fit' }));
  for (const { law, group, result } of joint) {
    if (typeof result === 'string') failed.push({ group, law, reason: result });
    else if (!result.converged) failed.push({ group, law, reason: result.reasons[0] ?? 'not converged' });
  }
  if (failed.length === fits.length + joint.length) {
    const first = failed[0]!;
    throw numericsError(
      `Nothing could be fitted: ${groupName(first.group)}, ${first.law}: ${first.reason}${
        failed.length > 1 ? ` (and ${failed.length - 1} more)` : ''
      }.`,
      { code: 'no-fit', suggestions: ['Check --x, --y and --group, or try --law auto.'] },
    );
  }
  const scaleTests =
    table.kind === 'fit'
      ? table.series.flatMap((series) => testScaleDependence(series, fitOptions.level, options.margin) ?? [])
      : [];
  return sealFit({
    schemaVersion: FIT_SCHEMA_VERSION,
    table: { path, sha256: await sha256File(path) },
    x: table.x,
    xUnit: table.xUnit,
    y: table.y,
    level: fitOptions.level,
    detail: fitOptions.detail,
    rows: table.rows,
    fits,
    comparison: [...groups.values()].map((own) => compare(own, fitOptions.level, auto)),
    joint: joint.flatMap(({ result }) => (typeof result === 'string' ? [] : result)),
    scaleTests,
    failed,
  });
}
