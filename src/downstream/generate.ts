import type { Tokenizer } from '../corpus/tokenizer.js';
import { inputError } from '../errors.js';
import type { Generation } from '../files/evaluation.js';
import { requireKnown } from '../sparsity/text.js';
import type { Masking, Scorer } from './scorer.js';

export interface GenerateOptions {
  maxNewTokens: number;
  bosId?: number;
  /** Ids that end the text. */
  endIds: ReadonlySet<number>;
  /** Longest input; the beginning is forgotten beyond it. */
  maxLength: number;
  vocabSize: number;
}

/**
 * Continues a prompt greedily. Every token costs a whole forward pass: this is for a look at a text.
 * @returns ids after the prompt, the one that ends the text left out
 */
export async function generate(
  scorer: Scorer,
  prompt: Int32Array,
  masking: Masking,
  options: GenerateOptions,
): Promise<{ ids: number[]; stopped: Generation['stopped'] }> {
  const ids = [...prompt];
  while (ids.length < prompt.length + options.maxNewTokens) {
    // The sequence's last id is a question, never read.
    const sequence = { ids: Int32Array.from([...ids.slice(-options.maxLength), 0]), answer: 1 };
    const { scores } = await scorer.score([sequence], masking);
    const { last } = scores[0]!;
    if (options.endIds.has(last)) return { ids: ids.slice(prompt.length), stopped: 'end' };
    ids.push(last);
  }
  return { ids: ids.slice(prompt.length), stopped: 'length' };
}

/** @throws SparselawError (status 3) for a prompt without tokens */
export async function promptIds(
  prompt: string,
  tokenizer: Tokenizer,
  { bosId, vocabSize }: GenerateOptions,
): Promise<Int32Array> {
  const [encoded] = await tokenizer.encodeBatch([prompt]);
  const ids = Int32Array.from(bosId === undefined ? encoded! : [bosId, ...encoded!]);
  if (ids.length === 0) throw inputError('The prompt has no tokens.', { code: 'empty-context' });
  requireKnown(ids, vocabSize, 'The prompt holds');
  return ids;
}
