import { basename } from 'node:path';
import { inputError } from '../errors.js';
import type { Manifest, SplitName } from '../files/manifest.js';
import { printable } from '../io/printable.js';
import { type DocumentOptions, type DocumentPart, readDocuments } from './documents.js';
import { stopped } from './encode.js';
import { cutByPosition, emptySurvey, hashFraction, sideOf, surveyDocument, withHeads } from './split.js';

export interface SourceToRead {
  path: string;
  /** `split`: training text, or both; `validation`: validation text alone. */
  use: 'split' | 'validation';
}

export interface ReadOptions extends DocumentOptions {
  seed: number;
  validationShare: number;
  signal?: AbortSignal;
}

/** What one reading of all sources tells: their hashes and sizes, and how the documents fall. */
export interface Survey {
  sources: Manifest['sources'];
  method: Manifest['split']['method'];
  hashes: ReturnType<typeof emptySurvey>;
  /** Bytes of text in the sources that are split. */
  splitBytes: number;
}

/** Reads everything once, keeping nothing. @throws SparselawError (status 3) for a file without text */
export async function surveySources(sources: readonly SourceToRead[], options: ReadOptions): Promise<Survey> {
  const hashes = emptySurvey();
  const described: Manifest['sources'] = [];
  for (const { path, use } of sources) {
    let bytes = 0;
    let documents = 0;
    let textBytes = 0;
    const onRead = (read: number) => {
      bytes += read;
      options.onRead?.(read);
    };
    let sha256 = '';
    const parts = (async function* () {
      sha256 = yield* readDocuments(path, { ...options, onRead });
    })();
    for await (const { text, head, isLast } of withHeads(parts)) {
      if (options.signal?.aborted) throw stopped();
      textBytes += Buffer.byteLength(text);
      if (isLast) documents++;
      if (head === undefined || use === 'validation') continue;
      surveyDocument(hashes, hashFraction(options.seed, head), options.validationShare);
    }
    if (documents === 0) throw inputError(`${printable(path)} holds no text.`, { code: 'empty-text' });
    described.push({ name: basename(path), use, bytes, sha256, documents, textBytes });
  }
  const ofSplit = described.filter(({ use }) => use === 'split');
  const splitBytes = ofSplit.reduce((sum, { textBytes }) => sum + textBytes, 0);
  const hasFiles = ofSplit.length < described.length;
  const method = hasFiles ? 'files' : hashes.documents === 1 ? 'position' : 'document-hash';
  return { sources: described, method, hashes, splitBytes };
}

export interface AssignedPart extends DocumentPart {
  split: SplitName;
  /** On the first part of a document alone. */
  head?: string;
}

/**
 * Reads everything again, each document with its split.
 * @throws SparselawError (status 3) when a file is no longer what the survey read
 */
export async function* assignedParts(
  sources: readonly SourceToRead[],
  survey: Survey,
  options: ReadOptions,
): AsyncGenerator<AssignedPart> {
  const { method, hashes, splitBytes } = survey;
  const { seed, validationShare } = options;
  let index = -1;
  let split: SplitName = 'train';
  for (const [i, { path, use }] of sources.entries()) {
    const parts = readUnchanged(path, survey.sources[i]!.sha256, options);
    if (method === 'position') {
      yield* cutByPosition(parts, splitBytes, validationShare);
      continue;
    }
    for await (const part of withHeads(parts)) {
      if (part.head !== undefined) {
        index++;
        if (method === 'files') split = use === 'validation' ? 'validation' : 'train';
        else split = sideOf(hashes, index, hashFraction(seed, part.head), validationShare);
      }
      yield { ...part, split };
    }
  }
}

async function* readUnchanged(
  path: string,
  expected: string,
  options: ReadOptions,
): AsyncGenerator<DocumentPart> {
  const sha256 = yield* readDocuments(path, options);
  if (sha256 === expected) return;
  throw inputError(`${printable(path)} changed while it was read.`, {
    code: 'source-changed',
    suggestions: ['Run again when nothing writes to it.'],
  });
}
