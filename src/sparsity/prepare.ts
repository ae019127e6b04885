import { z } from 'zod';
import type { Engine } from '../engine/index.js';
import { inputError, usageError } from '../errors.js';
import { checkpointPaths, runPaths } from '../files/run.js';
import { readJson } from '../io/json.js';
import { type MeasureContext, measureContext } from './context.js';
import { openSession, type ProgramCache, type Session } from './evaluate.js';
import { requireFits } from './fits.js';
import { type LoadedModel, loadModel, weightsHash } from './load.js';
import type { MeasureOptions } from './options.js';
import { CETT_GRID } from './perplexity-search.js';
import type { Target } from './targets.js';
import { corpusStream, requireKnown, type TokenStream, textStream } from './text.js';
import { type Bos, cutWindows, pickWindows, strideWindows, type Windows } from './windows.js';

/** Tokens that one program takes at once: enough to fill the device, little enough for its memory. */
const BATCH_TOKENS = { xlaCpu: 8192, xlaCuda: 65_536, other: 4096 };
/** Longest default window of a foreign model. */
const LONGEST_WINDOW = 2048;
/** Batches of the authors' protocol. */
const PAPER_BATCHES = 10;

/** A checkpoint and the windows to measure it on, before any tensor is on a device. */
export interface Prepared {
  target: Target;
  checkpointSha256: string;
  stream: TokenStream;
  seqLen: number;
  bos: Bos;
  windows: Windows;
  /** What the protocol takes as one batch: each has its own thresholds and ratio. */
  batches: Windows[];
  load(): Promise<LoadedModel>;
  /** Puts the model on the device; the caller disposes the session. */
  open(engine: Engine, programs: ProgramCache, onTokens: (tokens: number) => void): Promise<Opened>;
}

export interface Opened {
  session: Session;
  facts: LoadedModel['facts'];
  /** One for each batch. */
  contexts: MeasureContext[];
}

/** Reads and cuts what a checkpoint is measured on. @throws SparselawError (status 2 or 3) */
export async function prepare(target: Target, options: MeasureOptions): Promise<Prepared> {
  const run = await trainedWith(target);
  const checkpointSha256 = await weightsHash(target);
  let loaded: Promise<LoadedModel> | undefined;
  const load = () => {
    loaded ??= loadModel(target);
    return loaded;
  };
  const { stream, calibration } = await streams(target, options, run, load);
  const seqLen = options.seqLen ?? run?.seqLen ?? defaultWindow((await load()).maxPositions);
  const bos = bosOf(target, options, stream);
  const cut = (tokens: TokenStream, maxTokens: number) =>
    cutWindows(tokens.ids, { seqLen, maxTokens, bos, bosId: tokens.bosId }, tokens.source);
  const windows = cut(stream, options.tokens);
  const isPaper = options.protocol === 'paper';
  const batches = isPaper ? batchesOf(windows) : [windows];
  const near = (own: Windows) => (isPaper ? own : strideWindows(own, options.calibrationTokens));
  const thresholdWindows = calibration && cut(calibration, options.calibrationTokens);

  return {
    target,
    checkpointSha256,
    stream,
    seqLen,
    bos,
    windows,
    batches,
    load,
    async open(engine, programs, onTokens) {
      const { model, facts, structure } = await load();
      requireKnown(stream.ids, model.vocabSize, `${stream.source} holds`);
      requireFits(engine, facts.parametersTotal, target.path);
      const session = await openSession(engine, model, {
        batchWindows: batchWindows(engine, batches[0]!),
        programs: { cache: programs, structure },
        signal: options.signal,
        onTokens,
      });
      const contexts = batches.map((own) => {
        const gridWindows = near(own);
        return measureContext(session, {
          windows: own,
          gridWindows,
          calibrationWindows: thresholdWindows ?? gridWindows,
          smallestBound: Math.min(CETT_GRID[0]!, ...options.cett),
          tolerance: options.tolerance,
          compat: options.compat,
        });
      });
      return { session, facts, contexts };
    },
  };
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

export function batchTokens(engine: Pick<Engine, 'name' | 'device'>): number {
  if (engine.name !== 'xla') return BATCH_TOKENS.other;
  return engine.device === 'cuda' ? BATCH_TOKENS.xlaCuda : BATCH_TOKENS.xlaCpu;
}

/** The largest batch that the devices like, made smaller so that padding is least; they share it equally. */
function batchWindows(engine: Engine, windows: Windows): number {
  const { devices } = engine;
  const most = Math.max(1, Math.floor(batchTokens(engine) / windows.seqLen)) * devices;
  const even = Math.ceil(windows.count / Math.ceil(windows.count / most));
  return Math.ceil(even / devices) * devices;
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

const runSchema = z.looseObject({ data: z.string().optional(), seqLen: z.int().positive().optional() });
const checkpointSchema = z.looseObject({ max_position_embeddings: z.int().positive() });

/** What a checkpoint of ours was trained with, of what measuring needs: its run tells, or itself where it lies alone. */
async function trainedWith(target: Target): Promise<{ data?: string; seqLen?: number } | undefined> {
  if (target.run !== undefined) return readJson(runPaths(target.run).config, runSchema);
  if (target.kind === 'foreign') return undefined;
  const config = await readJson(checkpointPaths(target.path).config, checkpointSchema);
  return { seqLen: config.max_position_embeddings };
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
