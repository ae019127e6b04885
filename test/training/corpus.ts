import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MANIFEST_FILE, manifestHash, TOKENIZER_FILE } from '../../src/files/manifest.js';
import { sha256 } from '../../src/io/hash.js';
import { createShard } from '../../src/io/token-shard.js';
import { randomStream } from '../../src/random.js';

/** A corpus of ids that a tiny model can learn: mostly i → 3i + 1, sometimes anything. */
export async function writeTinyCorpus(
  folder: string,
  { vocabSize = 32, trainTokens = 4096, validationTokens = 300, seed = 0 } = {},
): Promise<string> {
  const tokenizer = '{"not": "used by training"}\n';
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, TOKENIZER_FILE), tokenizer);
  const stream = randomStream(seed, 'tiny corpus');
  const split = async (name: 'train' | 'validation', tokens: number) => {
    await mkdir(join(folder, name), { recursive: true });
    const ids = new Uint32Array(tokens);
    for (let i = 1; i < tokens; i++) {
      ids[i] = stream.integer(8) === 0 ? stream.integer(vocabSize) : (3 * ids[i - 1]! + 1) % vocabSize;
    }
    const shard = await createShard(join(folder, name, '00000.bin'), vocabSize);
    await shard.append(ids);
    const { sha256: hash } = await shard.finish();
    return {
      documents: 1,
      tokens,
      bytes: 2 * tokens,
      shards: [{ file: `${name}/00000.bin`, tokens, sha256: hash }],
    };
  };
  const content = {
    schemaVersion: 1 as const,
    recipe: sha256('tiny corpus'),
    tokenizer: {
      sha256: sha256(tokenizer),
      vocabSize,
      separator: { token: '<|endoftext|>', id: 0 },
      origin: 'given' as const,
    },
    split: { method: 'document-hash' as const, seed: 0, validationShare: 0.1 },
    sources: [],
    splits: {
      train: await split('train', trainTokens),
      validation: await split('validation', validationTokens),
    },
  };
  const manifest = { ...content, sha256: manifestHash(content) };
  await writeFile(join(folder, MANIFEST_FILE), JSON.stringify(manifest));
  return folder;
}

/** A model of a minute's size, trained in well under a second on tfjs's plain backend. */
export const TINY = {
  layers: 1,
  width: 8,
  heads: 2,
  ff: 12,
  seqLen: 8,
  batchTokens: 32,
  tokens: 320,
  learningRate: 0.01,
  warmup: 64,
  checkpoints: '64+160+256',
  logEvery: 1,
  engine: 'cpu',
} as const;
