import { join } from 'node:path';
import type { Engine } from '../engine/index.js';
import { numericsError, usageError } from '../errors.js';
import type { ProfileName } from '../files/profile.js';
import { listCheckpoints, runPaths } from '../files/run.js';
import { SPARSITY_SCHEMA_VERSION, type SparsityMeasurement, sparsitySchema } from '../files/sparsity.js';
import { writeFileAtomic } from '../io/atomic.js';
import { DEFAULT_BOOTSTRAP } from './bootstrap.js';
import { average, disposePrograms, type ProgramCache } from './evaluate.js';
import { requireFits } from './fits.js';
import { loadModel } from './load.js';
import { METRICS, type Setting } from './metrics/index.js';
import { openMeasuringEngine } from './open-engine.js';
import { type MeasureOptions, settingsOf } from './options.js';
import { type Opened, type Prepared, prepare } from './prepare.js';
import { PROFILE_MAKERS } from './profiles/index.js';
import { findMeasurement, settingsHashOf, writeMeasurement } from './results.js';
import { type SharedBound, searchBound, sharedBound } from './shared-bound.js';
import { type Part, summarise } from './summarise.js';
import type { Target } from './targets.js';
import { findProfile, writeProfile } from './write-profile.js';

/** An open engine and the programs compiled for it: several calls of `measureWith` share them. */
export interface Measurer {
  readonly engine: Engine;
  readonly programs: ProgramCache;
  close(): Promise<void>;
}

/** @param targets what is to be measured, where that is known: their sizes choose the precision */
export async function openMeasurer(
  options: Pick<MeasureOptions, 'engine' | 'engineOptions' | 'onEngine'>,
  targets: readonly Target[] = [],
): Promise<Measurer> {
  const engine = await openMeasuringEngine(options.engine, options.engineOptions, await sizesOf(targets));
  options.onEngine?.(engine);
  const programs: ProgramCache = new Map();
  return {
    engine,
    programs,
    async close() {
      disposePrograms(programs);
      await engine.close();
    },
  };
}

/** `measureWith` on an engine of its own. */
export async function measureTargets(
  targets: readonly Target[],
  options: MeasureOptions,
): Promise<SparsityMeasurement[]> {
  // What is wrong with the options is said before an engine is opened.
  settingsOf(options);
  const measurer = await openMeasurer(options, targets);
  try {
    return await measureWith(measurer, targets, options);
  } finally {
    await measurer.close();
  }
}

/**
 * Measures checkpoints one after another, writing each result as soon as its checkpoint is done.
 * @throws SparselawError status 2 to 6; files already written stay and are reused
 */
export async function measureWith(
  { engine, programs }: Measurer,
  targets: readonly Target[],
  options: MeasureOptions,
): Promise<SparsityMeasurement[]> {
  const settings = settingsOf(options);
  const shared = new Map<string, Promise<SharedBound>>();
  const results: SparsityMeasurement[] = [];
  for (const [index, target] of targets.entries()) {
    const group = await groupOf(target, targets, options.sharedCett);
    if (group && !shared.has(group.name)) {
      shared.set(group.name, sharedBound(engine, group.members, options, programs));
    }
    const bound = group && (await shared.get(group.name));
    const work: Work = { engine, programs, settings, options, bound, index, of: targets.length };
    results.push(...(await measureTarget(target, work)));
  }
  await stampRuns(targets, options);
  return results;
}

/** Parameters of each target; of those that cannot be read, which say so when their turn comes, nothing. */
async function sizesOf(targets: readonly Target[]): Promise<number[]> {
  const sizes: number[] = [];
  const runs = new Set<string>();
  for (const target of targets) {
    if (target.run !== undefined && runs.has(target.run)) continue;
    if (target.run !== undefined) runs.add(target.run);
    const loaded = await loadModel(target).catch(() => undefined);
    if (loaded) sizes.push(loaded.facts.parametersTotal);
  }
  return sizes;
}

/** The last checkpoints of a target's run, among the targets; none where no value is shared. */
async function groupOf(
  target: Target,
  targets: readonly Target[],
  last: number | undefined,
): Promise<{ name: string; members: Target[] } | undefined> {
  if (last === undefined) return undefined;
  if (target.tokens === null) {
    throw usageError(`--shared-cett needs to know where in training ${target.path} stands.`, {
      code: 'no-series',
      suggestions: ['Give foreign checkpoints their tokens with --series FILE.csv.'],
    });
  }
  const name = target.run ?? target.runId ?? '';
  const members = targets.filter((other) => (other.run ?? other.runId ?? '') === name);
  members.sort((a, b) => (a.tokens ?? 0) - (b.tokens ?? 0));
  return { name, members: members.slice(-last) };
}

/** RUN/sparsity/DONE: every checkpoint of the run was measured, into the run's own folder. */
async function stampRuns(targets: readonly Target[], options: MeasureOptions): Promise<void> {
  if (options.out !== undefined) return;
  for (const run of new Set(targets.flatMap((target) => target.run ?? []))) {
    const measured = new Set(targets.filter((target) => target.run === run).map((t) => t.checkpoint));
    const all = await listCheckpoints(run);
    if (!all.every(({ name }) => measured.has(name))) continue;
    await writeFileAtomic(join(runPaths(run).sparsity, 'DONE'), '');
  }
}

interface Work {
  engine: Engine;
  programs: ProgramCache;
  settings: readonly Setting[];
  options: MeasureOptions;
  bound: SharedBound | undefined;
  /** This target's number among how many. */
  index: number;
  of: number;
}

type Key = ReturnType<typeof keyOf>;

/** What a measurement depends on. */
function keyOf(setting: Setting, prepared: Prepared, { options, engine, bound }: Work) {
  const { target, checkpointSha256, stream, seqLen, windows, bos } = prepared;
  const { replicates, seed } = options.bootstrap ?? DEFAULT_BOOTSTRAP;
  const settings: SparsityMeasurement['settings'] = {
    protocol: options.protocol,
    data: stream.sha256,
    source: options.text === undefined ? 'corpus' : 'text',
    sequenceLength: seqLen,
    windows: windows.count,
    bos,
    calibrationTokens: options.calibrationTokens,
    tolerance: options.tolerance,
    compat: options.compat,
    precision: engine.precision,
    bootstrapReplicates: replicates,
    bootstrapSeed: seed,
  };
  if (bound && setting.metric === 'pplp') {
    settings.sharedCett = `last:${options.sharedCett}`;
    settings.sharedWeights = bound.weights;
  }
  for (const [name, value] of Object.entries(setting)) if (value !== undefined) settings[name] = value;
  return {
    checkpoint: target.checkpoint,
    checkpointSha256,
    metric: setting.metric,
    settings,
    settingsHash: settingsHashOf(settings),
    engine: engine.name,
    precision: engine.precision,
  };
}

const folderOf = (target: Target, options: MeasureOptions): string | undefined =>
  options.out ?? (target.run && runPaths(target.run).sparsity);

async function measureTarget(target: Target, work: Work): Promise<SparsityMeasurement[]> {
  const { settings, options, engine, programs, index, of } = work;
  const folder = folderOf(target, options);
  if (options.profiles && folder === undefined) {
    throw usageError(`Nowhere to write the profiles of ${target.path}.`, {
      code: 'no-out',
      suggestions: ['Give --out DIR.'],
    });
  }
  // Headers say how large it is: nobody waits for the hash of weights that have no room.
  requireFits(engine, (await loadModel(target)).facts.parametersTotal, target.path);
  const prepared = await prepare(target, options);
  const keys = settings.map((setting) => keyOf(setting, prepared, work));
  const results = await Promise.all(
    keys.map((key) => (folder && !options.force ? findMeasurement(folder, key) : undefined)),
  );
  const missing: Wanted[] = [];
  for (const [i, setting] of settings.entries()) {
    const profiles = await missingProfiles(folder, results[i], i === 0, options);
    if (!results[i] || profiles.length > 0) missing.push({ setting, key: keys[i]!, profiles, i });
  }
  if (missing.length > 0) {
    let tokens = 0;
    const opened = await prepared.open(engine, programs, (more) => {
      tokens += more;
      const detail = `${target.checkpoint}, ${tokens} tokens through the model`;
      options.onProgress?.({ task: 'measure', done: index, total: of, unit: 'checkpoints', detail });
    });
    try {
      const { measurements, parts } = await measureOpened(prepared, opened, missing, work);
      for (const [j, { i, profiles }] of missing.entries()) {
        // What is there already stays as it is; only its profiles were missing.
        results[i] ??= measurements[j]!;
        if (!folder) continue;
        if (results[i] === measurements[j]) await writeMeasurement(folder, measurements[j]!);
        await writeProfiles(folder, results[i]!, parts[j]![0]!, profiles, options);
      }
    } finally {
      opened.session.dispose();
    }
  }
  options.onProgress?.({ task: 'measure', done: index + 1, total: of, unit: 'checkpoints' });
  return results as SparsityMeasurement[];
}

/** A setting to be measured, and what is to be written beside it. */
interface Wanted {
  setting: Setting;
  key: Key;
  profiles: ProfileName[];
  /** Its number among all settings. */
  i: number;
}

/** The profiles asked for that no earlier command wrote; sweeps go with the first setting alone. */
async function missingProfiles(
  folder: string | undefined,
  measurement: SparsityMeasurement | undefined,
  isFirst: boolean,
  options: MeasureOptions,
): Promise<ProfileName[]> {
  if (!folder || !options.profiles) return [];
  const { names, format } = options.profiles;
  const missing: ProfileName[] = [];
  for (const name of names) {
    if (!isFirst && !PROFILE_MAKERS[name].ofOutcome) continue;
    const path = measurement && (await findProfile(folder, measurement, name, format));
    if (path) options.onProfile?.(path);
    else missing.push(name);
  }
  return missing;
}

/** Under protocol `paper` they are those of the first batch. */
async function writeProfiles(
  folder: string,
  measurement: SparsityMeasurement,
  { context, outcome }: Part,
  names: readonly ProfileName[],
  options: MeasureOptions,
): Promise<void> {
  for (const name of names) {
    const rows = await PROFILE_MAKERS[name].rows(context, outcome);
    options.onProfile?.(await writeProfile(folder, measurement, name, rows, options.profiles!.format));
  }
}

async function measureOpened(
  prepared: Prepared,
  { contexts, facts }: Opened,
  wanted: readonly Wanted[],
  { options, engine, bound }: Work,
): Promise<{ measurements: SparsityMeasurement[]; parts: Part[][] }> {
  const started = performance.now();
  const { target, stream, bos, seqLen, batches } = prepared;
  const dense = average((await contexts[0]!.dense()).loss);
  if (!Number.isFinite(dense)) {
    throw numericsError(`${target.path}: the dense loss is ${dense}.`, {
      code: 'non-finite-loss',
      suggestions: ['Try --precision float32, or measure an earlier checkpoint.'],
    });
  }
  const settings: Setting[] = [];
  const parts: Part[][] = [];
  for (const { setting } of wanted) {
    const p = setting.metric === 'pplp' ? setting.pPercent! : 0;
    let full = setting;
    // A value of other checkpoints is given to the metric, and so is one that several batches share.
    if (p > 0 && bound) full = { ...setting, cett: await bound.at(p) };
    const own: Part[] = [];
    const isSearched = p > 0 && !bound && options.protocol === 'paper';
    const given = isSearched ? { ...setting, cett: await searchBound(contexts, p, options) } : full;
    for (const context of contexts) {
      own.push({ context, outcome: await METRICS[setting.metric].measure(context, given) });
    }
    settings.push(full);
    parts.push(own);
  }
  const bootstrap = options.bootstrap ?? DEFAULT_BOOTSTRAP;
  const figures = await summarise(settings, parts, bootstrap);
  const elapsedSeconds = (performance.now() - started) / 1000;
  const windows = batches.reduce((sum, batch) => sum + batch.count, 0);
  const { calibrationWindows } = contexts[0]!;
  const measurements = wanted.map(({ setting, key }, i) =>
    sparsitySchema.parse({
      schemaVersion: SPARSITY_SCHEMA_VERSION,
      ...key,
      runId: target.runId,
      tokens: target.tokens,
      step: target.step,
      pPercent: setting.pPercent,
      epsilon: setting.epsilon,
      kRatio: setting.kRatio,
      protocol: options.protocol,
      ...figures[i]!,
      model: facts,
      data: {
        sha256: stream.sha256,
        source: stream.source,
        tokensEvaluated: windows * seqLen,
        sequenceLength: seqLen,
        windows,
        bos,
      },
      calibrationTokens: calibrationWindows.count * calibrationWindows.seqLen,
      bootstrap,
      device: engine.deviceDescription,
      elapsedSeconds,
    }),
  );
  return { measurements, parts };
}
