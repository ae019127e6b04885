import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { inputError } from '../errors.js';
import { canonicalJson, sha256 } from '../io/hash.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';

export const MANIFEST_FILE = 'manifest.json';
export const TOKENIZER_FILE = 'tokenizer.json';
export const SPLITS = ['train', 'validation'] as const;
export type SplitName = (typeof SPLITS)[number];

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, 'is no SHA-256 in lower-case hex');
const count = z.int().min(0);

const split = z.object({
  documents: count,
  /** Ids in the shards: of the documents, and one separator after each. */
  tokens: count,
  /** UTF-8 bytes of the documents, separators not counted: what the bits of bits per byte are divided by. */
  bytes: count,
  shards: z.array(
    z.object({
      /** Relative to the corpus, e.g. `train/00000.bin`. */
      file: z.string().regex(/^(train|validation)\/[0-9]{5}\.bin$/, 'is no name of a shard'),
      tokens: count,
      sha256: sha256Hex,
    }),
  ),
});

export const manifestSchema = z.object({
  schemaVersion: z.literal(1),
  /** SHA-256 of the canonical JSON of all else in this file: the identity of the data set. */
  sha256: sha256Hex,
  /** SHA-256 of the sources' hashes and of every option: an equal recipe need not be built again. */
  recipe: sha256Hex,
  tokenizer: z.object({
    sha256: sha256Hex,
    /** One more than the largest id. */
    vocabSize: z.int().min(1),
    /** Written after each document. */
    separator: z.object({ token: z.string(), id: count }),
    origin: z.enum(['trained', 'given']),
    /** Bytes of training text that the merges were learnt from. */
    trainedOnBytes: count.optional(),
  }),
  split: z.object({
    /**
     * `document-hash`: by the hash of seed and document. `position`: the text is one document, and its end is
     * the validation text. `files`: the validation text came from files of its own.
     */
    method: z.enum(['document-hash', 'position', 'files']),
    seed: z.int(),
    validationShare: z.number().min(0).max(1),
  }),
  /** In the order read; `bytes` and `sha256` are of the file as it was given (compressed, where it was). */
  sources: z.array(
    z.object({
      name: z.string(),
      use: z.enum(['split', 'validation']),
      bytes: count,
      sha256: sha256Hex,
      documents: count,
      textBytes: count,
    }),
  ),
  /** The field of JSONL sources. */
  textField: z.string().optional(),
  /** The user's note on where the text is from and under which licence. */
  licence: z.string().optional(),
  splits: z.object({ train: split, validation: split }),
});

/** `manifest.json` of a corpus. */
export type Manifest = z.output<typeof manifestSchema>;

/** The identity of a manifest's content. */
export function manifestHash(content: Omit<Manifest, 'sha256'>): string {
  return sha256(canonicalJson({ ...content, sha256: undefined }));
}

/** @throws SparselawError (status 3) when the folder is no corpus or its manifest was changed */
export async function readManifest(corpus: string): Promise<Manifest> {
  const path = join(corpus, MANIFEST_FILE);
  if (!existsSync(path)) {
    const why = existsSync(corpus) ? `is no corpus: it holds no ${MANIFEST_FILE}` : 'does not exist';
    throw inputError(`${printable(corpus)} ${why}.`, {
      code: 'missing-file',
      suggestions: ['sparselaw corpus build TEXT --out DIR'],
    });
  }
  const manifest = await readJson(path, manifestSchema);
  if (manifestHash(manifest) !== manifest.sha256) {
    throw inputError(`${printable(path)} was changed after it was written: its SHA-256 does not match.`, {
      code: 'bad-manifest',
      suggestions: ['Build the corpus again with `sparselaw corpus build`.'],
    });
  }
  return manifest;
}
