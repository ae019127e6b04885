import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Manifest, SplitName } from '../files/manifest.js';
import { createShard, type ShardWriter } from '../io/token-shard.js';

/** Ids are gathered so that a short document does not cost a write of its own. */
const BUFFER_TOKENS = 2 ** 18;

export interface SplitWriter {
  add(ids: Uint32Array): Promise<void>;
  /** Ends a document of so many bytes of text. */
  endDocument(bytes: number): Promise<void>;
  finish(): Promise<Manifest['splits'][SplitName]>;
  abandon(): Promise<void>;
}

/** Writes the shards of one split into `folder/split`, each of at most `shardTokens` ids. */
export async function createSplit(
  folder: string,
  split: SplitName,
  options: { vocabSize: number; separatorId: number; shardTokens: number },
): Promise<SplitWriter> {
  const { vocabSize, separatorId, shardTokens } = options;
  await mkdir(join(folder, split));
  const written: Manifest['splits'][SplitName] = { documents: 0, tokens: 0, bytes: 0, shards: [] };
  const buffer = new Uint32Array(BUFFER_TOKENS);
  let buffered = 0;
  let shard: ShardWriter | undefined;

  const closeShard = async () => {
    if (!shard) return;
    const { count, sha256 } = await shard.finish();
    shard = undefined;
    written.shards.push({ file: shardName(split, written.shards.length), tokens: count, sha256 });
  };
  const flush = async () => {
    for (let done = 0; done < buffered; ) {
      shard ??= await createShard(join(folder, shardName(split, written.shards.length)), vocabSize);
      const part = buffer.subarray(done, Math.min(buffered, done + shardTokens - shard.count));
      await shard.append(part);
      done += part.length;
      if (shard.count === shardTokens) await closeShard();
    }
    buffered = 0;
  };
  const add = async (ids: Uint32Array) => {
    written.tokens += ids.length;
    for (let done = 0; done < ids.length; ) {
      const part = ids.subarray(done, done + BUFFER_TOKENS - buffered);
      buffer.set(part, buffered);
      buffered += part.length;
      done += part.length;
      if (buffered === BUFFER_TOKENS) await flush();
    }
  };
  return {
    add,
    async endDocument(bytes) {
      written.documents++;
      written.bytes += bytes;
      await add(Uint32Array.of(separatorId));
    },
    async finish() {
      await flush();
      await closeShard();
      return written;
    },
    abandon: async () => shard?.abandon(),
  };
}

const shardName = (split: SplitName, index: number) => `${split}/${String(index).padStart(5, '0')}.bin`;
