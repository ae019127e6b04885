import { z } from 'zod';

/** A vocabulary beyond this would make an embedding larger than any model of interest. */
const MAX_ID = 2 ** 24;

const addedToken = z.looseObject({
  id: z.int().min(0).max(MAX_ID),
  content: z.string(),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
});

const component = z.looseObject({ type: z.string() }).nullish();

/** What of a tokenizer.json is looked at here; the rest is the tokenizer library's. */
export const tokenizerJsonSchema = z.looseObject({
  added_tokens: z.array(addedToken).default([]),
  normalizer: component,
  pre_tokenizer: component,
  post_processor: component,
  decoder: component,
  model: z.looseObject({
    // Files of old versions leave the type out.
    type: z.string().optional(),
    vocab: z.union([z.record(z.string(), z.int().min(0).max(MAX_ID)), z.array(z.unknown()).max(MAX_ID)]),
    dropout: z.number().nullish(),
  }),
});
export type TokenizerJson = z.output<typeof tokenizerJsonSchema>;
