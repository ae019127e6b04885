import { inputError } from '../errors.js';
import { randomStream, restoreStream, threefry2x32 } from '../random.js';
import type { TokenSource } from './tokens.js';

export interface BatchOptions {
  seed: number;
  /** From 0. */
  step: number;
  /** Rows. */
  batchSize: number;
  /** Predictions a row: a row holds one id more. */
  seqLen: number;
  /**
   * `epochs` (default): windows in an order shuffled anew for each epoch, each seen once an epoch.
   * `random`: windows at offsets drawn with replacement.
   */
  order?: 'epochs' | 'random';
}

/**
 * The ids of one training batch, [batchSize, seqLen + 1] row-major: a function of the source, the seed and the
 * step alone, so that any batch can be rebuilt and a resumed run needs no position. Rows may cross documents.
 * @throws SparselawError (status 3) when the source is shorter than one row
 */
export function batch(source: TokenSource, options: BatchOptions): Int32Array {
  const { batchSize, seqLen } = options;
  const width = seqLen + 1;
  const count = windowCount(source, seqLen);
  const startOf = options.order === 'random' ? randomStart(source, options) : shuffledStart(count, options);
  const ids = new Int32Array(batchSize * width);
  for (let row = 0; row < batchSize; row++) {
    ids.set(source.read(startOf(options.step * batchSize + row), width), row * width);
  }
  return ids;
}

/**
 * Whole windows of seqLen predictions in a source; one epoch is this many rows.
 * @throws SparselawError (status 3) when there is none
 */
export function windowCount(source: TokenSource, seqLen: number): number {
  const count = Math.floor((source.length - 1) / seqLen);
  if (count >= 1) return count;
  throw inputError(
    `${source.name}: ${source.length} tokens are fewer than one window of ${seqLen + 1} needs.`,
    { code: 'text-too-short', suggestions: ['Give more text, or a smaller --seq-len.'] },
  );
}

function randomStart(source: TokenSource, { seed, seqLen }: BatchOptions): (sample: number) => number {
  const { key } = randomStream(seed, 'batch offsets').state();
  // A draw takes one block, and a second only when rejected (below 2^-20 for any corpus): two are set aside.
  return (sample) => restoreStream({ key, counter: 2 * sample }).integer(source.length - seqLen);
}

function shuffledStart(count: number, { seed, seqLen }: BatchOptions): (sample: number) => number {
  let epoch = -1;
  let permute = (position: number) => position;
  return (sample) => {
    const sampleEpoch = Math.floor(sample / count);
    if (sampleEpoch !== epoch) {
      epoch = sampleEpoch;
      permute = permutation(count, randomStream(seed, `batch order of epoch ${epoch}`).state().key);
    }
    return permute(sample % count) * seqLen;
  };
}

/** Four rounds make a Feistel network a strong pseudorandom permutation (Luby and Rackoff 1988); two to spare. */
const FEISTEL_ROUNDS = 6;

/**
 * A random permutation of 0 … count − 1 that is computed a value at a time: a corpus may have more windows than
 * a table in memory should. A Feistel network with Threefry as round function permutes the next power of four;
 * values outside the range are mapped again until they fall inside (at most four times on average).
 */
export function permutation(
  count: number,
  [key0, key1]: readonly [number, number],
): (index: number) => number {
  const halfBits = Math.max(1, Math.ceil(Math.log2(count) / 2));
  const half = 2 ** halfBits;
  const mask = half - 1;
  return (index) => {
    let value = index;
    do {
      let left = Math.floor(value / half);
      let right = value % half;
      for (let round = 0; round < FEISTEL_ROUNDS; round++) {
        const mixed = (left ^ (threefry2x32(key0, key1, right, round)[0] & mask)) >>> 0;
        left = right;
        right = mixed;
      }
      value = left * half + right;
    } while (value >= count);
    return value;
  };
}

export interface Windows {
  seqLen: number;
  count: number;
  /** Windows [first, first + number) as rows, [number, seqLen + 1]. */
  read(first: number, number: number): Int32Array;
  [Symbol.iterator](): Iterator<Int32Array>;
}

/**
 * Evaluation windows: window k is the ids [kT, (k+1)T] with T = seqLen, so that every id but the first is
 * predicted once; the last partial window is dropped.
 * @param options.count at most this many, from the start
 * @throws SparselawError (status 3) when the source is shorter than one window
 */
export function windows(source: TokenSource, options: { seqLen: number; count?: number }): Windows {
  const { seqLen } = options;
  const count = Math.min(windowCount(source, seqLen), options.count ?? Number.POSITIVE_INFINITY);
  const width = seqLen + 1;
  const read = (first: number, number: number): Int32Array => {
    if (first < 0 || first + number > count) {
      throw new RangeError(`windows [${first}, ${first + number}) of ${count}`);
    }
    const ids = source.read(first * seqLen, number * seqLen + (number > 0 ? 1 : 0));
    const rows = new Int32Array(number * width);
    for (let k = 0; k < number; k++) rows.set(ids.subarray(k * seqLen, k * seqLen + width), k * width);
    return rows;
  };
  return {
    seqLen,
    count,
    read,
    *[Symbol.iterator]() {
      for (let k = 0; k < count; k++) yield read(k, 1);
    },
  };
}
