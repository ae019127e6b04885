import { join } from 'node:path';
import { z } from 'zod';
import { loadTokenizer, type Tokenizer } from '../corpus/tokenizer.js';
import type { Engine, EngineChoice, EngineOptions } from '../engine/index.js';
import { disposeTree } from '../engine/tree.js';
import { usageError } from '../errors.js';
import {
  EVALUATION_SCHEMA_VERSION,
  type Evaluation,
  evaluationFileName,
  evaluationSchema,
  type Generation,
  type WorkRow,
} from '../files/evaluation.js';
import { checkpointPaths, runPaths } from '../files/run.js';
import type { SparsityMeasurement } from '../files/sparsity.js';
import { writeFileAtomic } from '../io/atomic.js';
import { canonicalJson, sha256 } from '../io/hash.js';
import { readJson } from '../io/json.js';
import type { OnProgress } from '../progress.js';
import { uploadModel } from '../sparsity/evaluate.js';
import { requireFits } from '../sparsity/fits.js';
import { type LoadedModel, loadModel, weightsHash } from '../sparsity/load.js';
import { measureTargets } from '../sparsity/measure.js';
import { type OpenedEngine, openMeasuringEngine } from '../sparsity/open-engine.js';
import { MEASURE_DEFAULTS, type MeasureOptions } from '../sparsity/options.js';
import { prepare } from '../sparsity/prepare.js';
import type { ModelState } from '../sparsity/programs.js';
import type { Target } from '../sparsity/targets.js';
import { cutWindows } from '../sparsity/windows.js';
import { measurementOf, oneCheckpoint } from './checkpoint.js';
import { readDownProjections } from './down-projections.js';
import { type GenerateOptions, generate, promptIds } from './generate.js';
import { type Requests, requestsOf } from './requests.js';
import { openScorer, type Scorer } from './scorer.js';
import { type EvaluatedSetting, settingsToEvaluate } from './settings.js';
import { type ItemOutcome, outcomesOf, resultOf } from './statistics.js';
import { readTask, type Task } from './tasks.js';
import { countUnions, workOf, workWindow } from './work.js';

export interface EvaluateOptions {
  /** Task files. */
  tasks: readonly string[];
  /** Only the first so many items of each. */
  limit?: number;
  prompts: readonly string[];
  maxNewTokens: number;
  /** Whether to count the neurons that groups of tokens need. */
  work: boolean;
  /** Settings of pplp to measure (or find measured) first. */
  p: readonly number[];
  /** Measurements whose settings are evaluated too. */
  from: readonly string[];
  /** What p is measured on, and work is counted on: as `measure` has it. */
  data?: string;
  text?: string;
  tokens?: number;
  seqLen?: number;
  /** Put the BOS that the tokenizer adds before each text. */
  bos: 'auto' | 'none';
  /** Folder for the result; a run's evaluation/ by default. Foreign results without it are only returned. */
  out?: string;
  /** File for each item's log-likelihoods, JSON lines. */
  samples?: string;
  engine: EngineChoice;
  /** Told what the choice came to. */
  onEngine?: (engine: OpenedEngine) => void;
  engineOptions: EngineOptions;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

/** What is known before a model is on a device. */
interface Plan {
  target: Target;
  checkpointSha256: string;
  tasks: { task: Task; requests: Requests }[];
  prompts: { prompt: string; ids: Int32Array }[];
  tokenizer: Tokenizer;
  generation: GenerateOptions;
  measurements: SparsityMeasurement[];
}

/** Longest input of a model that bounds neither positions nor training. */
const LONGEST_INPUT = 2048;
/** Predictions that work is counted on. */
const WORK_TOKENS = 65_536;
const HASH_DIGITS = 12;

/**
 * Evaluates one checkpoint, dense and at each setting, on tasks, prompts and the work that groups of tokens need.
 * @throws SparselawError status 2 to 6; nothing is written then but measurements that are whole
 */
export async function evaluateCheckpoint(
  checkpoint: string,
  options: EvaluateOptions,
): Promise<{ evaluation: Evaluation; path: string | null }> {
  checkRequest(options);
  const started = performance.now();
  const target = await oneCheckpoint(checkpoint);
  const loaded = await loadModel(target);
  const plan = await planOf(target, loaded, options);
  const { parametersTotal } = loaded.facts;
  const engine = await openMeasuringEngine(options.engine, options.engineOptions, [parametersTotal]);
  options.onEngine?.(engine);
  const { model } = loaded;
  const settings = settingsToEvaluate(plan.measurements, model);
  let state: ModelState | undefined;
  let scorer: Scorer | undefined;
  try {
    requireFits(engine, parametersTotal, target.path);
    state = await uploadModel(engine, model);
    const { maxLength } = plan.generation;
    const onTokens = progressOf(plan, settings.length, options.onProgress);
    scorer = openScorer(engine, loaded, { state, maxLength, signal: options.signal, onTokens });
    const { tasks, samples } = await evaluateTasks(plan, settings, scorer, model.ff);
    const generations = await evaluatePrompts(plan, settings, scorer);
    const work = options.work ? await evaluateWork(plan, settings, engine, loaded, state, options) : [];
    const settingsHash = hashOf(plan, options, engine);
    const evaluation = evaluationSchema.parse({
      schemaVersion: EVALUATION_SCHEMA_VERSION,
      checkpoint: target.checkpoint,
      checkpointSha256: plan.checkpointSha256,
      runId: target.runId,
      tokens: target.tokens,
      step: target.step,
      settings: settings.map(({ facts }) => facts),
      tasks,
      generations,
      work,
      bos: plan.generation.bosId !== undefined,
      maxLength,
      settingsHash,
      engine: engine.name,
      device: engine.deviceDescription,
      precision: engine.precision,
      elapsedSeconds: (performance.now() - started) / 1000,
    });
    if (options.samples !== undefined) {
      await writeFileAtomic(options.samples, samples.map((row) => `${JSON.stringify(row)}\n`).join(''));
    }
    return { evaluation, path: await write(evaluation, target, options) };
  } finally {
    scorer?.dispose();
    if (state) disposeTree(state);
    await engine.close();
  }
}

function checkRequest({ tasks, prompts, work, p, from }: EvaluateOptions): void {
  if (tasks.length + prompts.length === 0 && !work) {
    throw usageError('Nothing to evaluate.', {
      code: 'nothing-to-do',
      suggestions: ['Give --tasks FILE.jsonl, --prompt TEXT or --work.'],
    });
  }
  if (work && p.length + from.length === 0) {
    throw usageError('--work compares sparse with dense, so it needs a sparse setting.', {
      code: 'missing-flag',
      suggestions: ['Add --p 1, or --from MEASUREMENT.'],
    });
  }
}

/** Everything that can be refused is refused here, before the searches that take minutes. */
async function planOf(target: Target, loaded: LoadedModel, options: EvaluateOptions): Promise<Plan> {
  const checkpointSha256 = await weightsHash(target);
  const from: SparsityMeasurement[] = [];
  for (const path of options.from) from.push(await measurementOf(path, target, checkpointSha256));
  const paths = checkpointPaths(target.path);
  const tokenizer = await loadTokenizer(paths.tokenizer);
  const ids = z.union([z.int().transform((id) => [id]), z.array(z.int())]);
  const config = await readJson(
    paths.config,
    z.looseObject({ max_position_embeddings: z.int().positive().optional(), eos_token_id: ids.nullish() }),
  );
  const generation: GenerateOptions = {
    maxNewTokens: options.maxNewTokens,
    bosId: options.bos === 'auto' ? tokenizer.bosId : undefined,
    endIds: new Set([
      ...(config.eos_token_id ?? []),
      ...(tokenizer.separator ? [tokenizer.separator.id] : []),
    ]),
    maxLength: loaded.maxPositions ?? config.max_position_embeddings ?? LONGEST_INPUT,
    vocabSize: loaded.model.vocabSize,
  };
  const tasks: Plan['tasks'] = [];
  for (const path of options.tasks) {
    const task = await readTask(path, options.limit);
    tasks.push({ task, requests: await requestsOf(task, tokenizer, generation) });
  }
  const prompts: Plan['prompts'] = [];
  for (const prompt of options.prompts) {
    prompts.push({ prompt, ids: await promptIds(prompt, tokenizer, generation) });
  }
  const measured = options.p.length > 0 ? await measureTargets([target], measureOptions(options)) : [];
  const measurements = [...measured, ...from];
  return { target, checkpointSha256, tasks, prompts, tokenizer, generation, measurements };
}

/** `measure --metric pplp` with its defaults. */
const measureOptions = (options: EvaluateOptions): MeasureOptions => ({
  metrics: ['pplp'],
  p: options.p,
  epsilon: [],
  k: [],
  cett: [],
  pool: 'token',
  score: 'gate',
  data: options.data,
  text: options.text,
  tokens: options.tokens ?? MEASURE_DEFAULTS.tokens,
  seqLen: options.seqLen,
  bos: 'auto',
  calibrationTokens: MEASURE_DEFAULTS.calibrationTokens,
  tolerance: MEASURE_DEFAULTS.tolerance,
  protocol: 'dataset',
  compat: false,
  out: options.out,
  force: false,
  engine: options.engine,
  engineOptions: options.engineOptions,
  signal: options.signal,
  onProgress: options.onProgress,
});

/** Counts tokens read by the tasks; prompts are short. */
function progressOf({ tasks }: Plan, settings: number, onProgress?: OnProgress) {
  const sequences = tasks.flatMap(({ requests }) => requests.sequences);
  const total = settings * sequences.reduce((sum, { ids }) => sum + ids.length - 1, 0);
  let done = 0;
  return (tokens: number) => {
    if (done === total) return;
    done += tokens;
    onProgress?.({ task: 'evaluate', done, total, unit: 'tokens' });
  };
}

/** Of each item and setting, for `--samples`. */
interface Sample {
  task: string;
  line: number;
  setting: string;
  log_likelihoods: number[];
  right: boolean;
}

async function evaluateTasks(
  { tasks }: Plan,
  settings: readonly EvaluatedSetting[],
  scorer: Scorer,
  ff: number,
): Promise<{ tasks: Evaluation['tasks']; samples: Sample[] }> {
  const results: Evaluation['tasks'] = [];
  const samples: Sample[] = [];
  for (const { task, requests } of tasks) {
    const own: Evaluation['tasks'][number]['results'] = [];
    let dense: ItemOutcome[] | null = null;
    for (const { masking, facts } of settings) {
      const { scores, active, tokens } = await scorer.score(requests.sequences, masking);
      const outcomes = outcomesOf(task, scores);
      const setting = facts.label;
      const kept = active.reduce((sum, count) => sum + count, 0);
      const activationRatio = kept / (active.length * tokens * ff);
      own.push({ setting, activationRatio, ...resultOf(task, outcomes, dense) });
      dense ??= outcomes;
      for (const { line, logLikelihoods, right } of outcomes) {
        samples.push({ task: task.name, line, setting, log_likelihoods: logLikelihoods, right });
      }
    }
    const { name, path, sha256: hash, format, kind, items } = task;
    const { truncated } = requests;
    results.push({ name, path, sha256: hash, format, kind, items: items.length, truncated, results: own });
  }
  return { tasks: results, samples };
}

async function evaluatePrompts(
  { prompts, tokenizer, generation }: Plan,
  settings: readonly EvaluatedSetting[],
  scorer: Scorer,
): Promise<Generation[]> {
  const results: Generation[] = [];
  for (const { prompt, ids } of prompts) {
    let dense: number[] | undefined;
    for (const { masking, facts } of settings) {
      const { ids: added, stopped } = await generate(scorer, ids, masking, generation);
      const text = await tokenizer.decode(added);
      const first = dense ? firstDifference(dense, added) : null;
      results.push({
        setting: facts.label,
        prompt,
        text,
        tokens: added.length,
        stopped,
        divergesAt: first,
      });
      dense ??= added;
    }
  }
  return results;
}

function firstDifference(a: readonly number[], b: readonly number[]): number | null {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return null;
}

async function evaluateWork(
  { target }: Plan,
  settings: readonly EvaluatedSetting[],
  engine: Engine,
  { model }: LoadedModel,
  state: ModelState,
  options: EvaluateOptions,
): Promise<WorkRow[]> {
  const { stream, seqLen, bos } = await prepare(target, measureOptions(options));
  const cut = {
    seqLen: workWindow(engine, seqLen),
    maxTokens: Math.min(WORK_TOKENS, options.tokens ?? WORK_TOKENS),
  };
  const windows = cutWindows(stream.ids, { ...cut, bos, bosId: stream.bosId }, stream.source);
  const { layers, ...ffn } = await readDownProjections(target);
  const rows: WorkRow[] = [];
  for (const { masking, facts } of settings.slice(1)) {
    const unions = await countUnions(engine, model, state, windows, masking, options.signal);
    rows.push(...workOf(facts.label, unions, { ...ffn, layerCount: layers.length }));
  }
  return rows;
}

/** Names what an evaluation depends on beside the checkpoint. */
function hashOf(
  { tasks, prompts, measurements, generation }: Plan,
  options: EvaluateOptions,
  engine: Engine,
) {
  return sha256(
    canonicalJson({
      tasks: tasks.map(({ task }) => [task.name, task.sha256, task.items.length]),
      prompts: prompts.map(({ prompt }) => prompt),
      maxNewTokens: options.maxNewTokens,
      work: options.work,
      measurements: measurements.map(({ settingsHash }) => settingsHash),
      bosId: generation.bosId ?? null,
      precision: engine.precision,
    }),
  ).slice(0, HASH_DIGITS);
}

async function write(
  evaluation: Evaluation,
  target: Target,
  { out }: EvaluateOptions,
): Promise<string | null> {
  const folder = out ?? (target.run && runPaths(target.run).evaluation);
  if (folder === undefined) return null;
  const path = join(folder, evaluationFileName(evaluation.checkpoint, evaluation.settingsHash));
  await writeFileAtomic(path, `${JSON.stringify(evaluation, null, 2)}\n`);
  return path;
}
