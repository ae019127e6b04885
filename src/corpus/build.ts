import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inputError, type SparselawError } from '../errors.js';
import {
  MANIFEST_FILE,
  type Manifest,
  manifestHash,
  readManifest,
  SPLITS,
  type SplitName,
  TOKENIZER_FILE,
} from '../files/manifest.js';
import { writeFolderAtomic } from '../io/atomic.js';
import { withFile } from '../io/file-error.js';
import { canonicalJson, sha256 } from '../io/hash.js';
import { printable } from '../io/printable.js';
import type { OnProgress } from '../progress.js';
import { encodePieces, type Piece, piecesOf } from './encode.js';
import { kindOf, sourceSize } from './sources.js';
import { createSplit, type SplitWriter } from './split-writer.js';
import {
  type AssignedPart,
  assignedParts,
  type ReadOptions,
  type SourceToRead,
  type Survey,
  surveySources,
} from './survey.js';
import { loadTokenizer, type Tokenizer, tokenizerFromText } from './tokenizer.js';
import { openTokens } from './tokens.js';
import { checkVocabSize, trainTokenizer } from './train-tokenizer.js';
import { writeTrainingText } from './training-text.js';

export interface CorpusOptions {
  /** Text files: plain or `.jsonl`, as they are or packed as `.gz` or `.xz`. */
  texts: readonly string[];
  /** Validation text of its own; then all of `texts` is for training. */
  validationTexts?: readonly string[];
  /** The folder to make. */
  out: string;
  /** Replace a corpus of other content. */
  force?: boolean;
  /** A tokenizer.json to use; without it one is trained on the training documents. */
  tokenizer?: string;
  /** The token written after each document, for a tokenizer with an unusual one. */
  separator?: string;
  vocabSize?: number;
  validationShare?: number;
  seed?: number;
  textField?: string;
  licence?: string;
  maxExpansion?: number;
  /** The tokenizer learns from a sample of about this many bytes where there are more. */
  tokenizerBytes?: number;
  /** Ids a shard. */
  shardTokens?: number;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

export const CORPUS_DEFAULTS = {
  vocabSize: 4096,
  validationShare: 0.05,
  seed: 0,
  textField: 'text',
  maxExpansion: 100,
  /** Merges hardly change beyond; learning takes half a minute on two cores. */
  tokenizerBytes: 100_000_000,
  /** 128 or 256 MiB a file. */
  shardTokens: 2 ** 26,
};

export interface CorpusResult {
  path: string;
  manifest: Manifest;
  /** The folder held this corpus already: nothing was written. */
  isReused: boolean;
  /** Things the user should know. */
  notices: string[];
}

type Settings = CorpusOptions & typeof CORPUS_DEFAULTS;

/**
 * Text → token shards, tokenizer.json and manifest.json in a new folder, which appears whole or not at all. Reads
 * the text twice (three times to train a tokenizer) rather than hold it. The bytes written depend on the text and
 * the options alone.
 * @throws SparselawError (status 2, 3 or 6)
 */
export async function buildCorpus(options: CorpusOptions): Promise<CorpusResult> {
  const settings = withDefaults(options);
  if (!settings.tokenizer) checkVocabSize(settings.vocabSize);
  const sources: SourceToRead[] = [
    ...settings.texts.map((path) => ({ path, use: 'split' as const })),
    ...(settings.validationTexts ?? []).map((path) => ({ path, use: 'validation' as const })),
  ];
  const sizes = await Promise.all(sources.map(({ path }) => sourceSize(path)));
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  const reading = (task: string, detail?: string): ReadOptions => {
    let done = 0;
    return {
      ...settings,
      onRead: (bytes) => {
        done += bytes;
        settings.onProgress?.({ task, done, total: totalBytes, unit: 'bytes', detail });
      },
    };
  };
  const present = await presentCorpus(settings.out);
  const given = settings.tokenizer ? await loadGiven(settings.tokenizer, settings.separator) : undefined;
  const survey = await surveySources(sources, reading('read'));
  const recipe = recipeOf(survey, settings, given);
  if (present && (await isCurrent(present, recipe, settings))) {
    const now = new Date();
    // For make: the target is as new as this run.
    await utimes(join(settings.out, MANIFEST_FILE), now, now);
    return { path: settings.out, manifest: present.manifest!, isReused: true, notices: [] };
  }

  let manifest: Manifest | undefined;
  await writeFolderAtomic(
    settings.out,
    async (folder) => {
      const parts = (task: string, detail?: string) => assignedParts(sources, survey, reading(task, detail));
      const used = given ? { tokenizer: given } : await trainOn(parts('sample'), folder, survey, settings);
      await writeFile(join(folder, TOKENIZER_FILE), used.tokenizer.text);
      const slow = used.tokenizer.implementation === 'javascript' ? WITHOUT_NATIVE : undefined;
      const splits = await encodeInto(folder, parts('encode', slow), used.tokenizer, settings);
      manifest = describe(survey, settings, used, splits, recipe);
      await writeFile(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, undefined, 2)}\n`);
    },
    { replace: present !== undefined },
  );
  return {
    path: settings.out,
    manifest: manifest!,
    isReused: false,
    notices: noticesOf(manifest!, settings),
  };
}

/** Said beside the progress, where it explains itself: minutes become hours, and nothing else tells why. */
const WITHOUT_NATIVE = 'on one core: the native library of `tokenizers` does not load here';

/** An option that is `undefined` is not given. */
function withDefaults(options: CorpusOptions): Settings {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { ...CORPUS_DEFAULTS, ...given } as Settings;
}

async function loadGiven(path: string, separator?: string): Promise<Tokenizer> {
  const tokenizer = await loadTokenizer(path, { separator });
  if (tokenizer.separator) return tokenizer;
  throw inputError(`${printable(path)} has no end-of-text token of a known name.`, {
    code: 'no-separator',
    suggestions: ['Name the token to write after each document with --separator TOKEN.'],
  });
}

/** All that the bytes written depend on. */
function recipeOf(survey: Survey, settings: Settings, tokenizer?: Tokenizer): string {
  const { seed, validationShare, textField, licence, vocabSize, tokenizerBytes, shardTokens } = settings;
  return sha256(
    canonicalJson({
      sources: survey.sources,
      split: { seed, validationShare },
      textField,
      licence,
      shardTokens,
      tokenizer: tokenizer
        ? { sha256: tokenizer.sha256, separator: tokenizer.separator }
        : { vocabSize, tokenizerBytes },
    }),
  );
}

/** What a corpus folder holds, and nothing else. */
const CORPUS_ENTRIES: readonly string[] = [MANIFEST_FILE, TOKENIZER_FILE, ...SPLITS];

interface PresentCorpus {
  manifest?: Manifest;
  /** Why there is no manifest. */
  damage?: unknown;
}

/**
 * The corpus that is in the target folder already, if any.
 * @throws SparselawError (status 3) when the folder holds anything else
 */
async function presentCorpus(out: string): Promise<PresentCorpus | undefined> {
  const entries = await withFile('read', out, () => readdir(out)).catch((error: SparselawError) => {
    if (error.code === 'missing-file') return [];
    throw error;
  });
  if (entries.length === 0) return undefined;
  const foreign = entries.find((name) => !CORPUS_ENTRIES.includes(name));
  if (foreign !== undefined) {
    throw inputError(`${printable(out)} exists and is no corpus: it holds ${printable(foreign)}.`, {
      code: 'exists',
      suggestions: ['Choose another --out.'],
    });
  }
  try {
    return { manifest: await readManifest(out) };
  } catch (damage) {
    return { damage };
  }
}

/** @throws SparselawError (status 3) unless the corpus may be replaced */
async function isCurrent(present: PresentCorpus, recipe: string, { out, force }: Settings): Promise<boolean> {
  if (present.manifest?.recipe === recipe && (await isWhole(out))) return true;
  if (force || present.manifest?.recipe === recipe) return false;
  const what = present.manifest ? 'holds a corpus of other text or settings' : 'holds a damaged corpus';
  throw inputError(`${printable(out)} ${what}.`, {
    code: 'exists',
    suggestions: ['Replace it with --force, or choose another --out.'],
    cause: present.damage,
  });
}

async function isWhole(corpus: string): Promise<boolean> {
  for (const split of SPLITS) {
    try {
      (await openTokens(corpus, split)).close();
    } catch {
      return false;
    }
  }
  return true;
}

interface UsedTokenizer {
  tokenizer: Tokenizer;
  trainedOnBytes?: number;
}

async function trainOn(
  parts: AsyncIterable<AssignedPart>,
  folder: string,
  survey: Survey,
  { seed, tokenizerBytes: maxBytes, vocabSize, onProgress, signal }: Settings,
): Promise<UsedTokenizer> {
  const scratch = join(folder, 'scratch');
  await mkdir(scratch);
  const textFile = join(scratch, 'training.txt');
  const trainedOnBytes = await withFile('write', textFile, () =>
    writeTrainingText(textFile, parts, { seed, trainBytes: survey.splitBytes, maxBytes, signal }),
  );
  const task = { task: 'train tokenizer', total: trainedOnBytes, unit: 'bytes' };
  onProgress?.({ ...task, done: 0 });
  const text = await trainTokenizer(textFile, { vocabSize, scratch, signal });
  onProgress?.({ ...task, done: trainedOnBytes });
  await rm(scratch, { recursive: true });
  return { tokenizer: await tokenizerFromText(text, TOKENIZER_FILE), trainedOnBytes };
}

async function encodeInto(
  folder: string,
  parts: AsyncIterable<AssignedPart>,
  tokenizer: Tokenizer,
  { shardTokens, signal }: Settings,
): Promise<Manifest['splits']> {
  const shape = { vocabSize: tokenizer.vocabSize, separatorId: tokenizer.separator!.id, shardTokens };
  const writers: Record<SplitName, SplitWriter> = {
    train: await createSplit(folder, 'train', shape),
    validation: await createSplit(folder, 'validation', shape),
  };
  let bytes = 0;
  try {
    const onIds = async (ids: Uint32Array, { text, split, isLast }: Piece) => {
      const writer = writers[split];
      bytes += Buffer.byteLength(text);
      await writer.add(ids);
      if (!isLast) return;
      await writer.endDocument(bytes);
      bytes = 0;
    };
    await encodePieces(piecesOf(parts, tokenizer), tokenizer, onIds, signal);
    return { train: await writers.train.finish(), validation: await writers.validation.finish() };
  } catch (error) {
    await Promise.all(SPLITS.map((split) => writers[split].abandon()));
    throw error;
  }
}

function describe(
  survey: Survey,
  { seed, validationShare, textField, licence }: Settings,
  { tokenizer, trainedOnBytes }: UsedTokenizer,
  splits: Manifest['splits'],
  recipe: string,
): Manifest {
  const content = {
    schemaVersion: 1 as const,
    recipe,
    tokenizer: {
      sha256: tokenizer.sha256,
      vocabSize: tokenizer.vocabSize,
      separator: tokenizer.separator!,
      origin: trainedOnBytes === undefined ? ('given' as const) : ('trained' as const),
      trainedOnBytes,
    },
    split: { method: survey.method, seed, validationShare },
    sources: survey.sources,
    textField: survey.sources.some(({ name }) => kindOf(name).isJsonl) ? textField : undefined,
    licence,
    splits,
  };
  return { ...content, sha256: manifestHash(content) };
}

function noticesOf({ split, splits, tokenizer }: Manifest, settings: Settings): string[] {
  const notices: string[] = [];
  if (split.method === 'position' && split.validationShare > 0) {
    notices.push(
      `The text is one document: its last ${+(100 * split.validationShare).toPrecision(3)} % is the validation text.`,
    );
  }
  if (splits.validation.tokens === 0) notices.push('There is no validation text.');
  if (tokenizer.origin === 'trained' && tokenizer.vocabSize < settings.vocabSize) {
    notices.push(
      `The text has too few distinct words for ${settings.vocabSize} tokens: the vocabulary has ${tokenizer.vocabSize}.`,
    );
  }
  return notices;
}
