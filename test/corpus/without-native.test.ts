import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { buildCorpus } from '../../src/corpus/build.js';
import { readManifest } from '../../src/files/manifest.js';
import type { ProgressEvent } from '../../src/progress.js';

const fixtures = resolve(import.meta.dirname, '../../fixtures');
const folder = mkdtempSync(join(tmpdir(), 'without-native-'));
afterAll(() => rmSync(folder, { recursive: true }));

const build = async (out: string) => {
  const events: ProgressEvent[] = [];
  await buildCorpus({
    texts: [join(fixtures, 'tinybooks.valid.txt')],
    out: join(folder, out),
    tokenizer: join(fixtures, 'corpus/tokenizer.json'),
    onProgress: (event) => events.push(event),
  });
  const details = new Set(events.filter(({ task }) => task === 'encode').map(({ detail }) => detail));
  return { details: [...details], splits: (await readManifest(join(folder, out))).splits };
};

describe('a corpus where the native tokenizers do not load', () => {
  it('says that it takes longer, and is the same', async () => {
    const native = await build('native');
    expect(native.details).toEqual([undefined]);
    vi.doMock('tokenizers', () => {
      throw new Error('no binary');
    });
    const javascript = await build('javascript');
    vi.doUnmock('tokenizers');
    expect(javascript.details).toEqual([expect.stringContaining('native library')]);
    expect(javascript.splits).toEqual(native.splits);
  });
});
