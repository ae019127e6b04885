import { join } from 'node:path';
import { readManifest, TOKENIZER_FILE } from '../files/manifest.js';
import { loadTokenizer } from './tokenizer.js';
import { openTokens } from './tokens.js';

/** The first `count` ids of the training split as text, decoded by the corpus's own tokenizer. */
export async function sampleText(corpus: string, count: number): Promise<string> {
  const { separator } = (await readManifest(corpus)).tokenizer;
  const tokenizer = await loadTokenizer(join(corpus, TOKENIZER_FILE), { separator: separator.token });
  const source = await openTokens(corpus, 'train');
  try {
    return await tokenizer.decode(source.read(0, Math.min(count, source.length)));
  } finally {
    source.close();
    tokenizer.close();
  }
}
