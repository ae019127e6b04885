import { createHash } from 'node:crypto';
import { inputError } from '../errors.js';
import type { SplitName } from '../files/manifest.js';
import type { DocumentPart } from './documents.js';

/** A document is known by its first characters, so that large ones need not be held to decide their split. */
const HEAD_CHARACTERS = 2 ** 16;
/** How far the cut of a single document may move to fall on a line's start. */
const LINE_SEARCH_CHARACTERS = 2000;

export interface FirstPart extends DocumentPart {
  /** On the first part of a document alone: what it is known by. */
  head?: string;
}

/** Joins the first parts of each document until its head is whole. */
export async function* withHeads(parts: AsyncIterable<DocumentPart>): AsyncGenerator<FirstPart> {
  let first: string | undefined = '';
  for await (const { text, isLast } of parts) {
    if (first === undefined) {
      yield { text, isLast };
    } else {
      first += text;
      if (first.length >= HEAD_CHARACTERS || isLast) {
        yield { text: first, isLast, head: first.slice(0, HEAD_CHARACTERS) };
        first = undefined;
      }
    }
    if (isLast) first = '';
  }
}

/**
 * A number in [0, 1) that depends on the seed and the document alone: documents never change sides when others
 * are added, and equal documents stand on the same side.
 */
export function hashFraction(seed: number, head: string): number {
  return createHash('sha256').update(`${seed}\n${head}`).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** What a first reading tells about the hashes of all documents. */
export interface HashSurvey {
  documents: number;
  below: number;
  smallest: { fraction: number; index: number };
  largest: { fraction: number; index: number };
}

export function emptySurvey(): HashSurvey {
  return {
    documents: 0,
    below: 0,
    smallest: { fraction: Number.POSITIVE_INFINITY, index: -1 },
    largest: { fraction: -1, index: -1 },
  };
}

export function surveyDocument(survey: HashSurvey, fraction: number, validationShare: number): void {
  const index = survey.documents++;
  if (fraction < validationShare) survey.below++;
  if (fraction < survey.smallest.fraction) survey.smallest = { fraction, index };
  if (fraction > survey.largest.fraction) survey.largest = { fraction, index };
}

/**
 * The side of document `index`. A few documents may all fall on one side: then the nearest to the threshold is
 * put on the other, so that neither side is empty.
 */
export function sideOf(
  survey: HashSurvey,
  index: number,
  fraction: number,
  validationShare: number,
): SplitName {
  if (validationShare > 0 && survey.below === 0 && index === survey.smallest.index) return 'validation';
  if (survey.below === survey.documents && index === survey.largest.index) return 'train';
  return fraction < validationShare ? 'validation' : 'train';
}

/**
 * Cuts a single document in two by position: its last `validationShare` (in bytes, moved on to the next line or
 * space) becomes the second.
 * @throws SparselawError (status 3) when a side would be empty
 */
export async function* cutByPosition(
  parts: AsyncIterable<DocumentPart>,
  totalBytes: number,
  validationShare: number,
): AsyncGenerator<DocumentPart & { split: SplitName }> {
  const target = Math.round(totalBytes * (1 - validationShare));
  let bytes = 0;
  let split: SplitName = 'train';
  for await (const { text, isLast } of parts) {
    const size = Buffer.byteLength(text);
    if (split === 'train' && bytes + size >= target && validationShare > 0) {
      const cut = nextBreak(text, Buffer.from(text).toString('utf8', 0, Math.max(0, target - bytes)).length);
      if (bytes + cut === 0 || (cut === text.length && isLast)) throw tooShort(totalBytes);
      yield { text: text.slice(0, cut), isLast: true, split };
      split = 'validation';
      if (cut < text.length) yield { text: text.slice(cut), isLast, split };
    } else {
      yield { text, isLast, split };
    }
    bytes += size;
  }
}

/** The start of the next line, near by, or of the next word; else the end. */
function nextBreak(text: string, from: number): number {
  const line = text.indexOf('\n', from);
  if (line >= 0 && line - from <= LINE_SEARCH_CHARACTERS && line + 1 < text.length) return line + 1;
  const space = text.indexOf(' ', from);
  return space < 0 ? text.length : space;
}

const tooShort = (bytes: number) =>
  inputError(`The text is one document of ${bytes} bytes: too short to cut a validation part from.`, {
    code: 'text-too-short',
    suggestions: ['Give validation text of its own with --validation FILE, or more documents.'],
  });
