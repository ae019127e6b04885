import { z } from 'zod';
import { inputError } from '../errors.js';
import { checkValue, parseJson, readTextFile } from '../io/json.js';
import { printable } from '../io/printable.js';
import { cutRule } from './pieces.js';
import { type TokenizerJson, tokenizerJsonSchema } from './tokenizer-schema.js';

/** The largest published tokenizer.json have about 35 MB. */
const MAX_TOKENIZER_BYTES = 128 * 2 ** 20;
export interface TokenizerFile {
  path: string;
  /** As in the file, byte for byte. */
  text: string;
  json: TokenizerJson;
}

/** Reads and checks a tokenizer.json. @throws SparselawError (status 3) naming the file and the value */
export async function readTokenizerFile(path: string): Promise<TokenizerFile> {
  return parseTokenizer(await readTextFile(path, { maxBytes: MAX_TOKENIZER_BYTES }), path);
}

/** `readTokenizerFile` for text in memory; `path` names it in messages. */
export function parseTokenizer(text: string, path: string): TokenizerFile {
  const json = checkValue(parseJson(text, path), tokenizerJsonSchema, path);
  if (json.model.dropout) {
    throw inputError(`${printable(path)}: merges are dropped at random (dropout ${json.model.dropout}).`, {
      code: 'bad-tokenizer',
      suggestions: ['Set "dropout" to null: ids must be the same each time.'],
    });
  }
  const stray = strayTemplateToken(json.post_processor);
  if (stray !== undefined) {
    throw inputError(
      `${printable(path)}: its template names ${printable(stray)}, which it does not define.`,
      {
        code: 'bad-tokenizer',
      },
    );
  }
  return { path, text, json };
}

const templateSchema = z.looseObject({
  type: z.literal('TemplateProcessing'),
  single: z.array(z.unknown()).default([]),
  pair: z.array(z.unknown()).default([]),
  special_tokens: z.record(z.string(), z.unknown()).default({}),
});
const templatePart = z.object({ SpecialToken: z.object({ id: z.string() }) });
const sequenceSchema = z.looseObject({ type: z.literal('Sequence'), processors: z.array(z.unknown()) });

/** A special token that a template names and does not define: the native library ends the process over it. */
function strayTemplateToken(processor: unknown): string | undefined {
  const sequence = sequenceSchema.safeParse(processor).data;
  if (sequence) return sequence.processors.map(strayTemplateToken).find((name) => name !== undefined);
  const template = templateSchema.safeParse(processor).data;
  if (!template) return undefined;
  return [...template.single, ...template.pair]
    .map((part) => templatePart.safeParse(part).data?.SpecialToken.id)
    .find((id) => id !== undefined && !Object.hasOwn(template.special_tokens, id));
}

/**
 * Whether a tokenizer is made of parts that the native library is known to take whatever their content: byte-level
 * BPE with the word pattern of GPT-2, GPT-4, Llama 3 or Qwen, and all of ours. Found by fuzzing: of the others it
 * ends its process over lengths of affixes, damaged tables of normalisers, and some texts.
 */
export function isOfKnownMake(json: TokenizerJson): boolean {
  const { type, continuing_subword_prefix: prefix, end_of_word_suffix: suffix } = json.model;
  return (
    type === 'BPE' &&
    !prefix &&
    !suffix &&
    cutRule(json) !== 'none' &&
    isKnownProcessor(json.post_processor) &&
    (!json.decoder || json.decoder.type === 'ByteLevel')
  );
}

function isKnownProcessor(processor: unknown): boolean {
  if (!processor) return true;
  const sequence = sequenceSchema.safeParse(processor).data;
  if (sequence) return sequence.processors.every(isKnownProcessor);
  return ['ByteLevel', 'TemplateProcessing'].includes((processor as { type: string }).type);
}

/** One more than the largest id: the rows that an embedding needs, also where ids leave gaps. */
export function vocabSizeOf({ added_tokens: added, model: { vocab } }: TokenizerJson): number {
  let largest = Array.isArray(vocab) ? vocab.length - 1 : -1;
  if (!Array.isArray(vocab)) for (const id of Object.values(vocab)) if (id > largest) largest = id;
  for (const { id } of added) if (id > largest) largest = id;
  return largest + 1;
}

/** Names of the token that ends a document, in the order tried. */
const SEPARATORS = ['<|endoftext|>', '<|end_of_text|>', '</s>', '<eos>', '<|im_end|>', '[SEP]'];

/** The token written between documents: the one named, or the first known end-of-text token. */
export function separatorOf(
  { added_tokens: added, model: { vocab } }: TokenizerJson,
  name?: string,
): { token: string; id: number } | undefined {
  for (const token of name === undefined ? SEPARATORS : [name]) {
    const known = added.find(({ content }) => content === token)?.id;
    const id = known ?? (Array.isArray(vocab) || !Object.hasOwn(vocab, token) ? undefined : vocab[token]);
    if (id !== undefined) return { token, id };
  }
  return undefined;
}
