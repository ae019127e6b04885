import { join } from 'node:path';
import { z } from 'zod';
import { type Engine, type EngineChoice, type EngineOptions, openEngine } from '../engine/index.js';
import { inputError, numericsError, usageError } from '../errors.js';
import { runPaths } from '../files/run.js';
import {
  type MetricName,
  type ProtocolName,
  SPARSITY_SCHEMA_VERSION,
  type SparsityMeasurement,
  sparsitySchema,
} from '../files/sparsity.js';
import { writeFileAtomic } from '../io/atomic.js';
import { readJson } from '../io/json.js';
import type { OnProgress } from '../progress.js';
import { type BootstrapOptions, DEFAULT_BOOTSTRAP } from './bootstrap.js';
import { measureContext } from './context.js';
import { average, disposePrograms, openSession, type ProgramCache } from './evaluate.js';
import { type LoadedModel, loadModel, weightsHash } from './load.js';
import { METRICS, type MetricParameters, type Setting } from './metrics/index.js';
import { CETT_GRID } from './perplexity-search.js';
import { findMeasurement, settingsHashOf, writeMeasurement } from './results.js';
import { type Part, summarise } from './summarise.js';
import type { Target } from './targets.js';
import { corpusStream, requireKnown, type TokenStream, textStream } from './text.js';
import { type Bos, cutWindows, pickWindows, strideWindows, type Windows } from './windows.js';

export interface MeasureOptions extends MetricParameters {
  metrics: readonly MetricName[];
  /** Corpus folder; a run's own by default. */
  data?: string;
  /** Text file, through the checkpoint's tokenizer. */
  text?: string;
  tokens: number;
  seqLen?: number;
  bos: 'auto' | Bos;
  calibrationTokens: number;
  tolerance: number;
  protocol: ProtocolName;
  compat: boolean;
  bootstrap?: BootstrapOptions;
  /** Folder for results; a run's own sparsity/ by default. Foreign results without it are only returned. */
  out?: string;
  force: boolean;
  engine: EngineChoice;
  engineOptions: EngineOptions;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

export const MEASURE_DEFAULTS = {
  tokens: 1_048_576,
  calibrationTokens: 65_536,
  tolerance: 1e-4,
} as const;

/** Predictions that one program takes at once: enough to fill the device, little enough for its memory. */
const BATCH_TOKENS = { xlaCpu: 8192, xlaCuda: 65_536, other: 4096 };
/** Longest default window of a foreign model. */
const LONGEST_WINDOW = 2048;
/** Batches of the authors' protocol. */
const PAPER_BATCHES = 10;

/** Every metric and parameter asked for. @throws SparselawError (status 2) when a parameter is missing */
export function settingsOf(options: Pick<MeasureOptions, 'metrics'> & MetricParameters): Setting[] {
  return options.metrics.flatMap((name) => {
    const metric = METRICS[name];
    const flag = metric.parameter;
    if (flag && options[flag].length === 0) {
      throw usageError(`The metric ${name} needs --${flag}.`, {
        code: 'missing-flag',
        suggestions: [`Add --${flag} VALUE.`],
      });
    }
    return metric.settings(options);
  });
}

/**
 * Measures checkpoints one after another, writing each result as soon as it is there.
 * @throws SparselawError status 2 to 6; files already written stay and are reused
 */
export async function measureTargets(
  targets: readonly Target[],
  options: MeasureOptions,
): Promise<SparsityMeasurement[]> {
  const settings = settingsOf(options);
  const engine = await openEngine(options.engine, options.engineOptions);
  const results: SparsityMeasurement[] = [];
  const programs: ProgramCache = new Map();
  try {
    for (const [index, target] of targets.entries()) {
      const place = { index, of: targets.length, programs };
      results.push(...(await measureTarget(engine, target, settings, options, place)));
    }
    for (const run of new Set(targets.flatMap(({ run }) => run ?? []))) {
      if (!options.out) await writeFileAtomic(join(runPaths(run).sparsity, 'DONE'), '');
    }
  } finally {
    disposePrograms(programs);
    await engine.close();
  }
  return results;
}

async function measureTarget(
  engine: Engine,
  target: Target,
  settings: readonly Setting[],
  options: MeasureOptions,
  { index, of, programs }: { index: number; of: number; programs: ProgramCache },
): Promise<SparsityMeasurement[]> {
  const folder = options.out ?? (target.run && runPaths(target.run).sparsity);
  const own = target.run ? await runFacts(target.run) : undefined;
  const checkpointSha256 = await weightsHash(target);
  let loaded: LoadedModel | undefined;
  const load = async () => {
    loaded ??= await loadModel(target);
    return loaded;
  };
  const { stream, calibration } = await streams(target, options, own, load);
  const seqLen = options.seqLen ?? own?.seqLen ?? defaultWindow((await load()).maxPositions);
  const bos = bosOf(target, options, stream);
  const cut = (tokens: TokenStream, maxTokens: number) =>
    cutWindows(tokens.ids, { seqLen, maxTokens, bos, bosId: tokens.bosId }, tokens.source);
  const windows = cut(stream, options.tokens);

  const common = {
    protocol: options.protocol,
    data: stream.sha256,
    sequenceLength: seqLen,
    windows: windows.count,
    bos,
    calibrationTokens: options.calibrationTokens,
    tolerance: options.tolerance,
    compat: options.compat,
    precision: engine.precision,
  };
  const keys = settings.map((setting) => {
    const all: SparsityMeasurement['settings'] = { ...common };
    for (const [name, value] of Object.entries(setting)) if (value !== undefined) all[name] = value;
    return {
      checkpoint: target.checkpoint,
      checkpointSha256,
      metric: setting.metric,
      settings: all,
      settingsHash: settingsHashOf(all),
      engine: engine.name,
      precision: engine.precision,
    };
  });
  const found = await Promise.all(
    keys.map((key) => (folder && !options.force ? findMeasurement(folder, key) : undefined)),
  );
  const wanted = settings.filter((_, i) => !found[i]);
  if (wanted.length === 0) return found as SparsityMeasurement[];

  const started = performance.now();
  const { model, facts, structure } = await load();
  requireKnown(stream.ids, model.vocabSize, `${stream.source} holds`);
  let done = 0;
  const session = openSession(engine, model, {
    batchWindows: batchWindows(engine, windows),
    programs: { cache: programs, structure },
    signal: options.signal,
    onTokens: (tokens) => {
      done += tokens;
      options.onProgress?.({
        task: 'measure',
        done: index,
        total: of,
        unit: 'checkpoints',
        detail: `${target.checkpoint}, ${done} tokens through the model`,
      });
    },
  });
  try {
    const calibrationSource = calibration ? cut(calibration, options.calibrationTokens) : windows;
    const bounds = wanted.flatMap(({ metric, cett }) =>
      metric === 'cett' && cett !== undefined ? [cett] : [],
    );
    const contexts = (options.protocol === 'paper' ? batchesOf(windows) : [windows]).map((own) => {
      const isBatch = options.protocol === 'paper';
      const near = isBatch ? own : strideWindows(own, options.calibrationTokens);
      return measureContext(session, {
        windows: own,
        gridWindows: near,
        calibrationWindows:
          isBatch || !calibration ? near : strideWindows(calibrationSource, options.calibrationTokens),
        smallestBound: Math.min(CETT_GRID[0]!, ...bounds),
        tolerance: options.tolerance,
        compat: options.compat,
      });
    });
    const parts: Part[][] = [];
    for (const setting of wanted) {
      const shared =
        options.protocol === 'paper' && setting.metric === 'pplp' && setting.pPercent! > 0
          ? { ...setting, cett: await paperBound(contexts, setting.pPercent!, options.tolerance) }
          : setting;
      const own: Part[] = [];
      for (const context of contexts) {
        own.push({ context, outcome: await METRICS[setting.metric].measure(context, shared) });
      }
      parts.push(own);
    }
    const dense = average((await contexts[0]!.dense()).loss);
    if (!Number.isFinite(dense)) {
      throw numericsError(`${target.path}: the dense loss is ${dense}.`, {
        code: 'non-finite-loss',
        suggestions: ['Try --precision float32, or measure an earlier checkpoint.'],
      });
    }
    const bootstrap = options.bootstrap ?? DEFAULT_BOOTSTRAP;
    const figures = await summarise(wanted, parts, bootstrap);
    const elapsedSeconds = (performance.now() - started) / 1000;
    const fresh: SparsityMeasurement[] = [];
    for (const [i, setting] of wanted.entries()) {
      const measurement = sparsitySchema.parse({
        schemaVersion: SPARSITY_SCHEMA_VERSION,
        ...keys[settings.indexOf(setting)]!,
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
          tokensEvaluated: windows.count * seqLen,
          sequenceLength: seqLen,
          windows: windows.count,
          bos,
        },
        calibrationTokens: contexts[0]!.calibrationWindows.count * contexts[0]!.calibrationWindows.seqLen,
        bootstrap,
        device: engine.deviceDescription,
        elapsedSeconds,
      });
      if (folder) await writeMeasurement(folder, measurement);
      fresh.push(measurement);
    }
    options.onProgress?.({ task: 'measure', done: index + 1, total: of, unit: 'checkpoints' });
    return settings.map((_, i) => found[i] ?? fresh[wanted.indexOf(settings[i]!)]!);
  } finally {
    session.dispose();
  }
}

/** The authors' bisection over the one CETT value, by the mean of the batches' perplexity ratios; the midpoint. */
async function paperBound(
  contexts: readonly ReturnType<typeof measureContext>[],
  pPercent: number,
  tolerance: number,
): Promise<number> {
  let [left, right] = [0, 1];
  while (right - left > tolerance) {
    const middle = (left + right) / 2;
    let sum = 0;
    for (const context of contexts) sum += Math.exp(await context.logRatio(middle));
    if (sum / contexts.length < 1 + pPercent / 100) left = middle;
    else right = middle;
  }
  return (left + right) / 2;
}

/** Ten batches of equal size (fewer where there are fewer windows); what does not divide is left out. */
function batchesOf(windows: Windows): Windows[] {
  const count = Math.min(PAPER_BATCHES, windows.count);
  const size = Math.floor(windows.count / count);
  return Array.from({ length: count }, (_, b) =>
    pickWindows(
      windows,
      Array.from({ length: size }, (_, i) => b * size + i),
    ),
  );
}

/** The largest batch that the device likes, made smaller so that padding is least. */
function batchWindows(engine: Engine, windows: Windows): number {
  const tokens =
    engine.name !== 'xla'
      ? BATCH_TOKENS.other
      : engine.device === 'cuda'
        ? BATCH_TOKENS.xlaCuda
        : BATCH_TOKENS.xlaCpu;
  const most = Math.max(1, Math.floor(tokens / windows.seqLen));
  return Math.ceil(windows.count / Math.ceil(windows.count / most));
}

const defaultWindow = (maxPositions: number | null) =>
  Math.min(LONGEST_WINDOW, maxPositions ?? LONGEST_WINDOW);

function bosOf(target: Target, options: MeasureOptions, stream: TokenStream): Bos {
  if (options.bos === 'auto') {
    return target.kind === 'foreign' && stream.bosId !== undefined ? 'window' : 'none';
  }
  if (options.bos !== 'none' && stream.bosId === undefined) {
    throw inputError(`The tokenizer of ${target.path} adds no BOS, so --bos ${options.bos} has no id.`, {
      code: 'no-bos',
      suggestions: ['Use --bos none.'],
    });
  }
  return options.bos;
}

/** What a run was trained with, of what measuring needs. */
async function runFacts(run: string): Promise<{ data?: string; seqLen?: number }> {
  const schema = z.looseObject({ data: z.string().optional(), seqLen: z.int().positive().optional() });
  return readJson(runPaths(run).config, schema);
}

/** The ids to evaluate on and, under `heldout`, those that thresholds come from. */
async function streams(
  target: Target,
  options: MeasureOptions,
  own: { data?: string } | undefined,
  load: () => Promise<LoadedModel>,
): Promise<{ stream: TokenStream; calibration?: TokenStream }> {
  // One id more than predictions, and room for a BOS.
  const atMost = options.tokens + 2;
  if (options.text !== undefined) {
    const stream = await textStream(options.text, target.path, (await load()).model.vocabSize);
    if (options.protocol !== 'heldout') return { stream };
    const half = Math.floor(stream.ids.length / 2);
    return {
      calibration: { ...stream, ids: stream.ids.subarray(0, half) },
      stream: { ...stream, ids: stream.ids.subarray(half) },
    };
  }
  const corpus = options.data ?? own?.data;
  if (corpus === undefined) {
    throw usageError(`Nothing to measure ${target.path} on.`, {
      code: 'no-data',
      suggestions: ['Give --text FILE or --data DIR.'],
    });
  }
  const stream = await corpusStream(corpus, 'validation', atMost);
  if (options.protocol !== 'heldout') return { stream };
  return { stream, calibration: await corpusStream(corpus, 'train', options.calibrationTokens + 2) };
}
