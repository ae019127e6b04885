import { availableParallelism } from 'node:os';
import { interruptedError } from '../errors.js';
import type { SplitName } from '../files/manifest.js';
import type { DocumentPart } from './documents.js';
import { collectGarbage } from './native-memory.js';
import { PIECE_CHARACTERS, PieceCutter } from './pieces.js';
import type { Tokenizer } from './tokenizer.js';

/** A stretch of text encoded on its own. */
export interface Piece {
  text: string;
  split: SplitName;
  /** After it the document ends. */
  isLast: boolean;
}

/** A batch keeps every core busy several times over, so that an uneven piece costs little. */
const PIECES_PER_CORE = 8;
const MAX_BATCH_CORES = 16;
/** Short documents make many pieces: they too are bounded. */
const MAX_BATCH_PIECES = 4096;
/** Batches under way: one being encoded while another is written and the next is read. */
const BATCHES_IN_FLIGHT = 3;
/** Text encoded between two collections, see `collectGarbage`. */
const CHARACTERS_PER_COLLECTION = 2 ** 21;

/** Cuts documents into pieces. The last piece of a document may be empty. */
export async function* piecesOf(
  parts: AsyncIterable<DocumentPart & { split: SplitName }>,
  tokenizer: Tokenizer,
): AsyncGenerator<Piece> {
  const cutter = new PieceCutter(tokenizer.cutRule);
  for await (const { text, split, isLast } of parts) {
    for (const piece of cutter.push(text)) yield { text: piece, split, isLast: false };
    if (isLast) yield { text: cutter.end().join(''), split, isLast: true };
  }
}

/**
 * Encodes pieces on all cores and hands the ids on in order, whatever the number of threads.
 * @throws SparselawError (status 6) when aborted
 */
export async function encodePieces(
  pieces: AsyncIterable<Piece>,
  tokenizer: Tokenizer,
  onIds: (ids: Uint32Array, piece: Piece) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const inFlight: { pieces: Piece[]; ids: Promise<Uint32Array[]> }[] = [];
  let sinceCollection = 0;
  const finishOldest = async () => {
    const oldest = inFlight.shift()!;
    const ids = await oldest.ids;
    for (const [i, piece] of oldest.pieces.entries()) {
      await onIds(ids[i]!, piece);
      sinceCollection += piece.text.length;
    }
    if (tokenizer.implementation === 'native' && sinceCollection > CHARACTERS_PER_COLLECTION) {
      sinceCollection = 0;
      collectGarbage();
    }
  };
  for await (const batch of batchesOf(pieces)) {
    if (signal?.aborted) throw stopped();
    const ids = tokenizer.encodeBatch(batch.map(({ text }) => text));
    // Its failure is met when its turn comes, not as an unhandled rejection before.
    ids.catch(() => undefined);
    inFlight.push({ pieces: batch, ids });
    if (inFlight.length >= BATCHES_IN_FLIGHT) await finishOldest();
  }
  while (inFlight.length > 0) await finishOldest();
  if (signal?.aborted) throw stopped();
}

export const stopped = () => interruptedError('Stopped; nothing was written.', { code: 'interrupted' });

async function* batchesOf(pieces: AsyncIterable<Piece>): AsyncGenerator<Piece[]> {
  const maxCharacters =
    PIECE_CHARACTERS * PIECES_PER_CORE * Math.min(availableParallelism(), MAX_BATCH_CORES);
  let batch: Piece[] = [];
  let characters = 0;
  for await (const piece of pieces) {
    batch.push(piece);
    characters += piece.text.length;
    if (characters >= maxCharacters || batch.length >= MAX_BATCH_PIECES) {
      yield batch;
      batch = [];
      characters = 0;
    }
  }
  if (batch.length > 0) yield batch;
}
