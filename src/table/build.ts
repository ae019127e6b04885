import { setImmediate as yieldToEvents } from 'node:timers/promises';
import { inputError, interruptedError } from '../errors.js';
import { checkpointName } from '../files/run.js';
import { METRIC_NAMES, type SparsityMeasurement, sparsitySchema } from '../files/sparsity.js';
import { changedTable, emptyRow, isTablePath, type TableRow, wasChanged } from '../files/table.js';
import { readJson, readJsonSync } from '../io/json.js';
import { printable } from '../io/printable.js';
import type { OnProgress } from '../progress.js';
import { groupBy } from './group-by.js';
import { compareText, findMeasuredFolders, type MeasuredFolder } from './measurement-files.js';
import { readOwnTable } from './read-table.js';
import { NO_RUN, type RunFacts, readRunFacts } from './run-facts.js';

/** Files read in place before events are let in: some milliseconds. */
const FILES_A_TURN = 16;
/** Mean milliseconds a file from which on files come from a disk or a network. */
const SLOW_MS = 5;
/** Enough open files to keep a network file system busy, far below any limit on open files. */
const PARALLEL_READS = 64;
/** Characters of checkpoint names in one line for people; `--json` holds them all. */
const MAX_NAMES = 400;

export interface BuildTableOptions {
  /** Folders, and tables of other runs that were made before. */
  inputs: readonly string[];
  /** Keep rows of one run that were measured in different arithmetic; without it they are refused. */
  mixedPrecision?: boolean;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

export interface BuiltTable {
  rows: TableRow[];
  /** Checkpoints that lack a measurement which others of their run have, and planned ones that are not there. */
  missing: MissingMeasurement[];
  /** Findings about the inputs that a user should know. */
  notes: string[];
}

export interface MissingMeasurement {
  run: string;
  checkpoint: string;
  /** A measurement such as `pplp (p = 1 %)`, or `checkpoint` where a planned one is not there at all. */
  lacks: string;
}

/**
 * Joins runs' configurations with every measurement found: one row per checkpoint × metric × setting, in the
 * order of runs, metrics, settings and tokens; after them the rows of tables, as they are. Nothing is sampled, nothing
 * missing is filled in.
 * @throws SparselawError (status 3) naming the file that is wrong, the run that mixes precisions, or one that two
 * inputs hold
 */
export async function buildTable(options: BuildTableOptions): Promise<BuiltTable> {
  const folders = await findMeasuredFolders(options.inputs.filter((input) => !isTablePath(input)));
  const total = folders.reduce((sum, folder) => sum + folder.files.length, 0);
  let done = 0;
  const onFile = () => {
    if (options.signal?.aborted) {
      throw interruptedError('Interrupted; nothing was written.', { code: 'interrupted' });
    }
    done++;
    options.onProgress?.({ task: 'table', done, total, unit: 'measurements' });
  };
  const rows: TableRow[] = [];
  const missing: MissingMeasurement[] = [];
  const notes: string[] = [];
  const holders = new Map<string, string>();
  for (const folder of folders) {
    const measurements = await readAll(folder.files, onFile);
    const facts = folder.isRun ? await readRunFacts(folder.path) : NO_RUN;
    const folderRows = measurements.map((m) => toRow(m, folder, facts));
    if (!options.mixedPrecision) refuseMixedPrecision(folderRows);
    holdRuns(folderRows, folder.path, holders);
    rows.push(...folderRows.sort(compareRows));
    missing.push(...findMissing(folder, measurements, facts.planned));
  }
  for (const path of options.inputs.filter(isTablePath)) {
    const table = await readOwnTable(path);
    const own = table.rows.map(({ known }) => known);
    if (!options.mixedPrecision) refuseMixedPrecision(own);
    holdRuns(own, path, holders);
    rows.push(...own);
    if (await wasChanged(path, table.sha256)) notes.push(changedTable(path));
  }
  return { rows, missing, notes };
}

/** A run's rows come of one input: of two, some would be there twice. Measurements of no run may share a name. */
function holdRuns(rows: readonly TableRow[], input: string, holders: Map<string, string>): void {
  for (const run of new Set(rows.map((row) => row.run_id ?? ''))) {
    const other = holders.get(run);
    if (other !== undefined && (isTablePath(input) || isTablePath(other))) {
      throw inputError(`Run ${printable(run)} is in ${printable(other)} and in ${printable(input)}.`, {
        code: 'run-twice',
        suggestions: ['Leave one of the two out, or remove the run’s rows from the table.'],
      });
    }
    holders.set(run, input);
  }
}

/**
 * Reads measurements in place while they come at once, as from the system's cache: a hand-over to a thread costs
 * more than such a file, and on a busy machine ten thousand times a wait. Where one came slowly (a disk, a
 * network), the next ones are asked for together.
 */
async function readAll(files: readonly string[], onFile: () => void): Promise<SparsityMeasurement[]> {
  const measurements: SparsityMeasurement[] = [];
  const add = (measurement: SparsityMeasurement) => {
    // What no row needs is most of a file: letting it go keeps ten thousand of them out of memory.
    measurements.push({ ...measurement, layers: [], search: [] });
    onFile();
  };
  while (measurements.length < files.length) {
    const started = performance.now();
    const next = Math.min(files.length, measurements.length + FILES_A_TURN);
    for (let i = measurements.length; i < next; i++) add(readJsonSync(files[i]!, sparsitySchema));
    const isSlow = performance.now() - started > SLOW_MS * FILES_A_TURN;
    if (isSlow) {
      const together = files.slice(measurements.length, measurements.length + PARALLEL_READS);
      for (const one of await Promise.all(together.map((file) => readJson(file, sparsitySchema)))) add(one);
    }
    // Lets an interruption in.
    await yieldToEvents();
  }
  return measurements;
}

function toRow(m: SparsityMeasurement, folder: MeasuredFolder, facts: RunFacts): TableRow {
  const unique = facts.uniqueTokens;
  const losses = facts.lossesAt(m.step ?? -1);
  return {
    ...emptyRow(),
    run_id: folder.isRun ? folder.id : m.runId,
    checkpoint: m.checkpoint,
    step: m.step,
    tokens: m.tokens,
    metric: m.metric,
    p_percent: m.pPercent ?? null,
    epsilon: m.epsilon ?? null,
    k_ratio: m.kRatio ?? null,
    cett: m.cett ?? null,
    protocol: m.protocol,
    status: m.status,
    activation: m.model.activation,
    gated: m.model.gated,
    n_layer: m.model.layers,
    d_model: m.model.width,
    d_ff: m.model.ff,
    n_head: m.model.heads,
    vocab_size: m.model.vocabSize,
    params_total: m.model.parametersTotal,
    params_non_embedding: m.model.parametersNonEmbedding,
    width_depth_ratio: m.model.layers > 0 ? m.model.width / m.model.layers : null,
    seed: facts.seed,
    activation_ratio: m.activationRatio,
    activation_ratio_se: m.activationRatioStandardError,
    activation_ratio_dense: m.activationRatioDense,
    sparsity: m.sparsity,
    loss_dense_nats_per_token: m.loss.dense,
    loss_sparse_nats_per_token: m.loss.sparse,
    ppl_dense: m.perplexity.dense,
    ppl_sparse: m.perplexity.sparse,
    ppl_ratio: m.perplexity.ratio,
    tokens_evaluated: m.data.tokensEvaluated,
    // Metrics without a threshold search calibrate on nothing: that is missing, not 0.
    calibration_tokens: m.calibrationTokens > 0 ? m.calibrationTokens : null,
    sequence_length: m.data.sequenceLength,
    data_sha256: m.data.sha256,
    checkpoint_sha256: m.checkpointSha256,
    engine: m.engine,
    precision: m.precision,
    device: m.device,
    train_engine: facts.engine,
    train_precision: facts.precision,
    phase: m.tokens === null ? null : facts.phaseAt(m.tokens),
    learning_rate: facts.learningRate,
    batch_tokens: facts.batchTokens,
    unique_tokens: unique,
    train_loss_nats_per_token: losses.train,
    validation_loss_nats_per_token: losses.validation,
    validation_bits_per_byte: losses.bitsPerByte,
    epochs: unique && m.tokens !== null ? m.tokens / unique : null,
    ppl_ratio_se: m.perplexity.ratioStandardError,
    score: m.metric === 'topk' ? textOf(m.settings.score) : null,
    shared_cett: textOf(m.settings.sharedCett),
  };
}

const textOf = (setting: SparsityMeasurement['settings'][string] | undefined): string | null =>
  typeof setting === 'string' ? setting : null;

function refuseMixedPrecision(rows: readonly TableRow[]): void {
  const byRun = groupBy(rows, (row) => row.run_id ?? '');
  for (const [run, own] of byRun) {
    const precisions = [...new Set(own.map((row) => row.precision))].sort();
    if (precisions.length < 2) continue;
    throw inputError(
      `Run ${printable(run)} was measured in ${precisions.join(' and ')}: they differ in value.`,
      {
        code: 'mixed-precision',
        suggestions: [
          `Measure again in one arithmetic: sparselaw measure ${printable(run)} --precision float32 --force`,
          'Keep all rows with --mixed-precision and tell them apart by the column precision.',
        ],
      },
    );
  }
}

const metricRank = (row: TableRow) => METRIC_NAMES.indexOf(row.metric as (typeof METRIC_NAMES)[number]);
/** Missing values first, so that an order is total. */
const compareNumbers = (a: number | null, b: number | null) => (a ?? -1) - (b ?? -1);

function compareRows(a: TableRow, b: TableRow): number {
  return (
    compareText(a.run_id ?? '', b.run_id ?? '') ||
    metricRank(a) - metricRank(b) ||
    compareNumbers(a.p_percent, b.p_percent) ||
    compareNumbers(a.epsilon, b.epsilon) ||
    compareNumbers(a.k_ratio, b.k_ratio) ||
    // The CETT of pplp is an outcome, that of cett a setting.
    (a.metric === 'cett' ? compareNumbers(a.cett, b.cett) : 0) ||
    compareText(a.score ?? '', b.score ?? '') ||
    compareText(a.shared_cett ?? '', b.shared_cett ?? '') ||
    compareText(a.protocol ?? '', b.protocol ?? '') ||
    compareNumbers(a.tokens, b.tokens) ||
    compareText(a.checkpoint ?? '', b.checkpoint ?? '')
  );
}

function findMissing(
  folder: MeasuredFolder,
  measurements: readonly SparsityMeasurement[],
  planned: readonly number[],
): MissingMeasurement[] {
  const missing = (checkpoints: readonly string[], lacks: string) =>
    checkpoints.map((checkpoint) => ({ run: folder.id, checkpoint, lacks }));
  // A checkpoint whose weights were removed after measuring is not missing.
  const known = new Set([...folder.checkpoints, ...measurements.map((m) => m.checkpoint)]);
  const absent = planned.map(checkpointName).filter((name) => !known.has(name));
  const bySetting = groupBy(measurements, (m) => `${m.metric}.${m.settingsHash}`);
  const unmeasured = [...bySetting.values()].flatMap((same) => {
    const measured = new Set(same.map((m) => m.checkpoint));
    return missing(
      [...known].filter((checkpoint) => !measured.has(checkpoint)).sort(compareText),
      settingName(same[0]!),
    );
  });
  const all = bySetting.size === 0 ? missing(folder.checkpoints, 'any measurement') : unmeasured;
  return [...missing(absent, 'checkpoint'), ...all];
}

function settingName(m: SparsityMeasurement): string {
  if (m.metric === 'pplp') return `pplp (p = ${m.pPercent} %)`;
  if (m.metric === 'topk') return `topk (k = ${m.kRatio})`;
  if (m.metric === 'cett') return `cett (${m.cett})`;
  if (m.epsilon !== undefined) return `${m.metric} (epsilon = ${m.epsilon})`;
  return m.metric;
}

/** One line a run and lack for people: `relu-256: 2 checkpoints without pplp (p = 1 %): 000…128, 000…256`. */
export function describeMissing(missing: readonly MissingMeasurement[]): string[] {
  const groups = groupBy(missing, ({ run, lacks }) => JSON.stringify([run, lacks]));
  return [...groups.values()].map((group) => {
    const { run, lacks } = group[0]!;
    const names = group.map(({ checkpoint }) => checkpoint).join(', ');
    const plural = group.length > 1 ? 's' : '';
    const what =
      lacks === 'checkpoint'
        ? `planned checkpoint${plural} not there`
        : `checkpoint${plural} without ${lacks}`;
    return `${printable(run)}: ${group.length} ${what}: ${printable(names, MAX_NAMES)}`;
  });
}
