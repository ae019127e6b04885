import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { engineError, interruptedError, usageError } from '../errors.js';
import { readJson } from '../io/json.js';
import { noNative } from './tokenizer.js';

/** The token that ends a document; id 0. */
export const SEPARATOR = '<|endoftext|>';
/** The separator and the 256 bytes. */
export const MIN_VOCAB_SIZE = 257;
/** The library's trainer stops there and takes no options. */
export const MAX_VOCAB_SIZE = 30_000;

/**
 * `train` prints on standard output, which under `--json` is the result's alone, and blocks; so it runs in a
 * process of its own. Its arguments: the package, the text, the result.
 */
const TRAIN_SCRIPT = `
const { Tokenizer, BPE, byteLevelPreTokenizer } = require(process.argv[1]);
const tokenizer = new Tokenizer(BPE.empty());
tokenizer.setPreTokenizer(byteLevelPreTokenizer(false, true));
tokenizer.train([process.argv[2]]);
tokenizer.save(process.argv[3]);
`;

const trainedSchema = z.object({
  model: z.object({ merges: z.array(z.tuple([z.string(), z.string()])) }),
});

export interface TrainOptions {
  vocabSize: number;
  /** A folder for the intermediate file. */
  scratch: string;
  signal?: AbortSignal;
}

/**
 * Learns a byte-level BPE (GPT-2's word pattern, no prefix space) from a UTF-8 file and returns its
 * tokenizer.json: `<|endoftext|>` is id 0, the 256 bytes follow, then merges in the order learnt. A text with
 * too few distinct pairs gives a smaller vocabulary than asked for.
 * @throws SparselawError (status 2) for a vocabulary size out of range, (4) where memory ran out; an error with the
 *   system's `code` where a file could not be read or written
 */
export async function trainTokenizer(textFile: string, options: TrainOptions): Promise<string> {
  checkVocabSize(options.vocabSize);
  const trained = join(options.scratch, 'trained.json');
  await runTrainer(textFile, trained, options.signal);
  const { model } = await readJson(trained, trainedSchema);
  return JSON.stringify(tokenizerJson(model.merges, options.vocabSize));
}

/** @throws SparselawError (status 2) */
export function checkVocabSize(vocabSize: number): void {
  if (vocabSize >= MIN_VOCAB_SIZE && vocabSize <= MAX_VOCAB_SIZE) return;
  throw usageError(`--vocab-size: ${vocabSize} must be from ${MIN_VOCAB_SIZE} to ${MAX_VOCAB_SIZE}.`, {
    code: 'bad-flag',
    suggestions: ['For a larger vocabulary give a trained tokenizer.json with --tokenizer FILE.'],
  });
}

function runTrainer(textFile: string, result: string, signal?: AbortSignal): Promise<void> {
  const library = resolveLibrary();
  const child = spawn(process.execPath, ['-e', TRAIN_SCRIPT, library, textFile, result], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // Of its own group, so that Ctrl-C in a terminal reaches it through us alone.
    detached: process.platform !== 'win32',
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000);
  });
  const stop = () => child.kill('SIGKILL');
  process.once('exit', stop);
  signal?.addEventListener('abort', stop, { once: true });
  return new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, killedBy) => {
      if (signal?.aborted) reject(interruptedError('Stopped; nothing was written.', { code: 'interrupted' }));
      else if (code === 0) resolve();
      else reject(trainingFailure(killedBy, errors.trim()));
    });
  }).finally(() => {
    process.off('exit', stop);
    signal?.removeEventListener('abort', stop);
  });
}

/** Names of the system's error numbers: the library tells those alone, as `No space left on device (os error 28)`. */
const ERROR_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

function trainingFailure(killedBy: NodeJS.Signals | null, said: string): Error {
  if (killedBy === 'SIGKILL') {
    return engineError('Training the tokenizer was ended by SIGKILL: the machine may be out of memory.', {
      code: 'out-of-memory',
      suggestions: ['Let it learn from less text with --tokenizer-bytes.'],
    });
  }
  const error = new Error(`training the tokenizer ended early: ${said || killedBy}`);
  const number = Number(/\(os error (\d+)\)/.exec(said)?.[1]);
  return Object.assign(error, { code: ERROR_NAMES.get(number) });
}

function resolveLibrary(): string {
  const require = createRequire(import.meta.url);
  try {
    require('tokenizers');
    return require.resolve('tokenizers');
  } catch {
    throw noNative();
  }
}

/** GPT-2's characters for the 256 bytes: printable ones stand for themselves, the rest follow from U+0100. */
export function byteSymbols(): string[] {
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : next++));
}

/** The first merges up to the vocabulary size: BPE is greedy, so a smaller run would have learnt just these. */
function tokenizerJson(merges: readonly (readonly [string, string])[], vocabSize: number) {
  const vocab = new Map<string, number>();
  for (const token of [SEPARATOR, ...byteSymbols()]) vocab.set(token, vocab.size);
  const kept: (readonly [string, string])[] = [];
  for (const merge of merges) {
    const token = merge.join('');
    // Two merges may spell the same token: the second adds no id.
    if (!vocab.has(token)) {
      if (vocab.size === vocabSize) break;
      vocab.set(token, vocab.size);
    }
    kept.push(merge);
  }
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      {
        id: 0,
        content: SEPARATOR,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab),
      merges: kept,
    },
  };
}
