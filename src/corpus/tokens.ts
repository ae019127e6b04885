import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inputError } from '../errors.js';
import {
  MANIFEST_FILE,
  type Manifest,
  readManifest,
  type SplitName,
  TOKENIZER_FILE,
} from '../files/manifest.js';
import { withFile } from '../io/file-error.js';
import { sha256 } from '../io/hash.js';
import { printable } from '../io/printable.js';
import { openShard, type TokenShard } from '../io/token-shard.js';

/** A stream of token ids that may be larger than memory. */
export interface TokenSource {
  /** In messages, e.g. `corpus/train`. */
  name: string;
  length: number;
  vocabSize: number;
  /** UTF-8 bytes of the text that the ids stand for, document separators not counted. */
  bytes: number;
  documents: number;
  /** Ids [start, start + count). @throws RangeError outside [0, length] */
  read(start: number, count: number): Int32Array;
  close(): void;
}

/** Ids in memory as a source. */
export function tokensInMemory(
  ids: Int32Array,
  about: Omit<TokenSource, 'length' | 'read' | 'close'>,
): TokenSource {
  return {
    ...about,
    length: ids.length,
    read(start, count) {
      checkRange(start, count, ids.length, about.name);
      return ids.slice(start, start + count);
    },
    close() {},
  };
}

/**
 * Opens one split of a corpus and checks every byte of it against the shards' SHA-256 and the manifest.
 * @throws SparselawError (status 3) naming the file that is missing, damaged or of another corpus
 */
export async function openTokens(corpus: string, split: SplitName): Promise<TokenSource> {
  const manifest = await readManifest(corpus);
  await checkTokenizer(corpus, manifest);
  const name = join(corpus, split);
  const { tokens, bytes, documents, shards: listed } = manifest.splits[split];
  const shards: TokenShard[] = [];
  const close = () => {
    for (const shard of shards.splice(0)) shard.close();
  };
  try {
    for (const entry of listed) {
      const path = join(corpus, entry.file);
      const shard = openShard(path);
      shards.push(shard);
      if (shard.sha256 !== entry.sha256 || shard.vocabSize !== manifest.tokenizer.vocabSize) {
        throw inputError(`${printable(path)} is not the shard that ${MANIFEST_FILE} lists.`, {
          code: 'bad-shard',
          suggestions: ['Build the corpus again with `sparselaw corpus build`.'],
        });
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  const { vocabSize } = manifest.tokenizer;
  const read = readerOf(shards, tokens, name);
  return { name, length: tokens, vocabSize, bytes, documents, read, close };
}

async function checkTokenizer(corpus: string, manifest: Manifest): Promise<void> {
  const path = join(corpus, TOKENIZER_FILE);
  const bytes = await withFile('read', path, () => readFile(path));
  if (sha256(bytes) !== manifest.tokenizer.sha256) {
    throw inputError(`${printable(path)} is not the tokenizer that ${MANIFEST_FILE} lists.`, {
      code: 'bad-tokenizer',
      suggestions: ['Build the corpus again with `sparselaw corpus build`.'],
    });
  }
}

function checkRange(start: number, count: number, length: number, name: string): void {
  if (start < 0 || count < 0 || start + count > length) {
    throw new RangeError(`tokens [${start}, ${start + count}) of ${length} in ${name}`);
  }
}

function readerOf(shards: readonly TokenShard[], length: number, name: string): TokenSource['read'] {
  const starts: number[] = [];
  let total = 0;
  for (const shard of shards) {
    starts.push(total);
    total += shard.count;
  }
  if (total !== length) {
    throw inputError(
      `${printable(name)}: the shards hold ${total} tokens, ${MANIFEST_FILE} says ${length}.`,
      {
        code: 'bad-manifest',
      },
    );
  }
  return (start, count) => {
    checkRange(start, count, length, name);
    const ids = new Int32Array(count);
    let index = starts.findLastIndex((first) => first <= start);
    for (let done = 0; done < count; index++) {
      const shard = shards[index]!;
      const from = start + done - starts[index]!;
      const part = ids.subarray(done, done + Math.min(count - done, shard.count - from));
      shard.read(from, part);
      done += part.length;
    }
    return ids;
  };
}
