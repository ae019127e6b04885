import { join } from 'node:path';
import { loadTokenizer } from '../corpus/tokenizer.js';
import { openTokens } from '../corpus/tokens.js';
import { inputError } from '../errors.js';
import { readManifest, type SplitName } from '../files/manifest.js';
import { sha256File } from '../io/hash.js';
import { readTextFile } from '../io/json.js';
import { printable } from '../io/printable.js';

/** Ids to measure on, and how to name them. */
export interface TokenStream {
  ids: Int32Array;
  /** Of the corpus (its manifest) or of the text file. */
  sha256: string;
  source: string;
  /** What the tokenizer itself puts before a text. */
  bosId?: number;
}

/** Ids of a split, at most as many as asked for. */
export async function corpusStream(corpus: string, split: SplitName, atMost: number): Promise<TokenStream> {
  const { sha256 } = await readManifest(corpus);
  const source = await openTokens(corpus, split);
  try {
    return { ids: source.read(0, Math.min(source.length, atMost)), sha256, source: `${corpus}/${split}` };
  } finally {
    source.close();
  }
}

/** Texts are read whole; only about a million tokens of one are used. */
const MAX_TEXT_BYTES = 512 * 2 ** 20;

/** A text file through a checkpoint's own tokenizer; special tokens in the text become their ids. */
export async function textStream(file: string, checkpoint: string, vocabSize: number): Promise<TokenStream> {
  const path = join(checkpoint, 'tokenizer.json');
  const tokenizer = await loadTokenizer(path);
  const text = await readTextFile(file, { maxBytes: MAX_TEXT_BYTES });
  const [encoded] = await tokenizer.encodeBatch([text]).finally(tokenizer.close);
  const ids = Int32Array.from(encoded!);
  requireKnown(ids, vocabSize, `${printable(path)} gives`);
  return { ids, sha256: await sha256File(file), source: file, bosId: tokenizer.bosId };
}

/** @throws SparselawError (status 3) when an id has no row in the embedding; `who` begins the message */
export function requireKnown(ids: Int32Array, vocabSize: number, who: string): void {
  const bad = ids.find((id) => id < 0 || id >= vocabSize);
  if (bad === undefined) return;
  throw inputError(`${who} the token id ${bad}, but the model's vocabulary has ${vocabSize} entries.`, {
    code: 'unknown-token',
    suggestions: ['Use the tokenizer or the corpus that belongs to this checkpoint.'],
  });
}
