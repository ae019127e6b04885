import { open } from 'node:fs/promises';
import { stopped } from './encode.js';
import { hashFraction } from './split.js';
import type { AssignedPart } from './survey.js';

export interface TrainingTextOptions {
  seed: number;
  /** Bytes of training text there are. */
  trainBytes: number;
  maxBytes: number;
  signal?: AbortSignal;
}

/**
 * Writes training documents, one after another, for the tokenizer to learn from; validation text has no part in
 * it. Where there is more than `maxBytes`, a sample of documents is taken by hash; a document that is larger on
 * its own is cut.
 * @returns bytes of text written
 */
export async function writeTrainingText(
  path: string,
  parts: AsyncIterable<AssignedPart>,
  { seed, trainBytes, maxBytes, signal }: TrainingTextOptions,
): Promise<number> {
  const share = maxBytes / Math.max(trainBytes, 1);
  const handle = await open(path, 'w');
  let written = 0;
  let isTaken = true;
  try {
    for await (const { text, split, head, isLast } of parts) {
      if (signal?.aborted) throw stopped();
      if (head !== undefined) isTaken = share >= 1 || hashFraction(seed, `sample\n${head}`) < share;
      if (split !== 'train' || !isTaken || written >= maxBytes) continue;
      const bytes = Buffer.from(text);
      await handle.writeFile(bytes);
      written += bytes.length;
      if (isLast && !text.endsWith('\n')) await handle.writeFile('\n');
    }
  } finally {
    await handle.close();
  }
  return written;
}
