import { inputError } from '../errors.js';

/**
 * Evaluation windows: `count` rows of `seqLen + 1` ids, row-major. Row k holds the ids [kT, (k+1)T] of the
 * stream, so that T predictions are made in each and every id but the first is predicted once.
 */
export interface Windows {
  seqLen: number;
  count: number;
  ids: Int32Array;
}

export type Bos = 'none' | 'stream' | 'window';

export interface WindowOptions {
  seqLen: number;
  /** At most this many predictions; rounded down to whole windows. */
  maxTokens: number;
  bos: Bos;
  /** Needed unless `bos` is `none`. */
  bosId?: number;
}

/**
 * Cuts a stream of ids into non-overlapping windows; the last partial one is dropped. With `bos: 'window'`
 * each row is the BOS followed by T ids of the stream, all of which are predicted; with `'stream'` one BOS
 * precedes the whole stream.
 * @throws SparselawError (status 3) when the stream is shorter than one window; `name` says whose it is.
 */
export function cutWindows(stream: Int32Array, options: WindowOptions, name: string): Windows {
  const { seqLen, maxTokens, bos, bosId } = options;
  const perWindow = bos === 'window' ? seqLen : seqLen + 1;
  const lead = bos === 'stream' ? 1 : 0;
  const length = stream.length + lead;
  // Consecutive windows without a BOS share one id: the last of k is the first (unpredicted) one of k + 1.
  const available = bos === 'window' ? Math.floor(length / seqLen) : Math.floor((length - 1) / seqLen);
  const count = Math.min(available, Math.floor(maxTokens / seqLen));
  if (available < 1) {
    throw inputError(
      `${name}: ${stream.length} tokens are fewer than one window needs (${perWindow - lead}).`,
      { code: 'text-too-short', suggestions: ['Give more text, or a smaller --seq-len.'] },
    );
  }
  if (count < 1) {
    throw inputError(`${name}: --tokens ${maxTokens} is less than one window of ${seqLen} predictions.`, {
      code: 'too-few-tokens',
      suggestions: ['Raise --tokens or lower --seq-len.'],
    });
  }
  const at = (position: number) => (position < lead ? bosId! : stream[position - lead]!);
  const width = seqLen + 1;
  const ids = new Int32Array(count * width);
  for (let k = 0; k < count; k++) {
    if (bos === 'window') {
      ids[k * width] = bosId!;
      ids.set(stream.subarray(k * seqLen, (k + 1) * seqLen), k * width + 1);
    } else {
      for (let j = 0; j < width; j++) ids[k * width + j] = at(k * seqLen + j);
    }
  }
  return { seqLen, count, ids };
}

/** Evenly strided windows holding at most `tokens` predictions, at least one window; all if there are fewer. */
export function strideWindows(windows: Windows, tokens: number): Windows {
  const count = Math.max(1, Math.min(windows.count, Math.floor(tokens / windows.seqLen)));
  if (count === windows.count) return windows;
  return pickWindows(windows, strideRows(windows.count, count));
}

/** `wanted` of `count` rows, evenly spread. */
export const strideRows = (count: number, wanted: number): number[] =>
  Array.from({ length: wanted }, (_, i) => Math.floor((i * count) / wanted));

/** The named windows, in the given order. */
export function pickWindows(windows: Windows, rows: readonly number[]): Windows {
  const width = windows.seqLen + 1;
  const ids = new Int32Array(rows.length * width);
  rows.forEach((row, i) => {
    ids.set(windows.ids.subarray(row * width, (row + 1) * width), i * width);
  });
  return { seqLen: windows.seqLen, count: rows.length, ids };
}
