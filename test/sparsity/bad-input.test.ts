import { mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { finiteOnly } from '../../src/checkpoint/foreign.js';
import type { SparselawError } from '../../src/errors.js';
import { readSafetensorsHeader } from '../../src/io/safetensors.js';
import { loadModel, weightsHash } from '../../src/sparsity/load.js';
import { requireKnown } from '../../src/sparsity/text.js';
import { cutWindows } from '../../src/sparsity/windows.js';
import { writeSyntheticLlama } from './synthetic-llama.js';

let parent: string;
let folder: string;
let file: string;
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sparselaw-bad-'));
});
beforeEach(async () => {
  folder = await mkdtemp(join(parent, 'model-'));
  file = join(folder, 'model.safetensors');
  await writeSyntheticLlama(folder, { layers: 2, width: 32, ff: 48, vocab: 64 });
});
afterAll(() => rm(parent, { recursive: true, force: true }));

/** Reads everything of the checkpoint, as a measurement does. */
async function readAll(): Promise<void> {
  const target = {
    kind: 'foreign',
    path: folder,
    checkpoint: 'x',
    runId: null,
    tokens: null,
    step: null,
  } as const;
  await weightsHash(target);
  for await (const _ of (await loadModel(target)).model.tensors());
}

/** The one line that a person reads; exit status 3 is checked with it. */
async function refusal(work: Promise<void>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: SparselawError) => thrown,
  );
  expect(error).toMatchObject({ exitStatus: 3 });
  expect(error!.message).not.toContain('\n');
  return error!.message;
}

/** Rewrites the header of the file; its data stay. */
async function lie(change: (header: Record<string, { shape: number[]; data_offsets: number[] }>) => void) {
  const bytes = await readFile(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  change(header);
  const text = Buffer.from(JSON.stringify(header).padEnd(length, ' '));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  await writeFile(file, Buffer.concat([size, text, bytes.subarray(8 + length)]));
}

const DOWN = 'model.layers.1.mlp.down_proj.weight';

describe('a checkpoint that is not whole', () => {
  it('is read where nothing is wrong', async () => {
    await readAll();
  });

  it('cut short: file and status 3', async () => {
    const handle = await open(file, 'r+');
    await handle.truncate((await handle.stat()).size - 10);
    await handle.close();
    expect(await refusal(readAll())).toContain(file);
  });

  it('a header that lies about a shape, about where a tensor lies, or beyond the end', async () => {
    await lie((header) => {
      header[DOWN]!.shape = [48, 32];
    });
    const shape = await refusal(readAll());
    expect(shape).toContain(file);
    expect(shape).toContain(DOWN);
    for (const offsets of [
      [0, 2 * 32 * 48],
      [1e9, 1e9 + 2 * 32 * 48],
    ]) {
      await writeSyntheticLlama(folder, { layers: 2, width: 32, ff: 48, vocab: 64 });
      await lie((header) => {
        header[DOWN]!.data_offsets = offsets;
      });
      expect(await refusal(readAll())).toContain(file);
    }
  });

  it('a tensor that is not there, and one that has no place', async () => {
    await lie((header) => {
      header['model.layers.1.mlp.down_prox.weight'] = header[DOWN]!;
      delete header[DOWN];
    });
    expect(await refusal(readAll())).toContain('model.layers.1.mlp.down_pro');
  });

  it('a shard that the index lists and nobody has', async () => {
    const [names] = [[...(await readSafetensorsHeader(file)).tensors.keys()]];
    await rename(file, join(folder, 'model-00001-of-00002.safetensors'));
    const map = Object.fromEntries(
      names.map((name) => [name, `model-0000${name === DOWN ? 2 : 1}-of-00002.safetensors`]),
    );
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
    expect(await refusal(readAll())).toContain('model-00002-of-00002.safetensors is missing');
  });

  it('a weight that is no number: file, tensor and element', async () => {
    const entry = (await readSafetensorsHeader(file)).tensors.get(DOWN)!;
    const bytes = await readFile(file);
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, start).toString());
    expect(entry.shape).toEqual([32, 48]);
    bytes.writeUInt16LE(0x7fc0, start + header[DOWN].data_offsets[0] + 2 * 7);
    await writeFile(file, bytes);
    const message = await refusal(readAll());
    expect(message).toContain(file);
    expect(message).toContain(`${DOWN} holds NaN at element 7`);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'holds %d anywhere: the first of them is named',
    (bad) => {
      const check = finiteOnly('model.safetensors');
      for (let length = 1; length < 10; length++) {
        const values = new Float32Array(length).fill(-3.4e38);
        expect(() => check('w', values, 0)).not.toThrow();
        for (let i = length - 1; i >= 0; i--) {
          values[i] = bad;
          expect(() => check('w', values, 100)).toThrow(`tensor w holds ${bad} at element ${100 + i}.`);
        }
      }
    },
  );
});

describe('a text that does not suit', () => {
  it('ids beyond the embedding: whose they are, the id, the size', () => {
    expect(() => requireKnown(Int32Array.of(3, 64), 64, 'm/tokenizer.json gives')).toThrow(
      "m/tokenizer.json gives the token id 64, but the model's vocabulary has 64 entries.",
    );
    expect(() => requireKnown(Int32Array.of(-1), 64, 'c/validation holds')).toThrow('c/validation holds');
    expect(() => requireKnown(Int32Array.of(0, 63), 64, 'x')).not.toThrow();
  });

  it('shorter than one window: its name and both lengths', () => {
    const cut = () =>
      cutWindows(new Int32Array(16), { seqLen: 16, maxTokens: 100, bos: 'none' }, 'short.txt');
    expect(cut).toThrow('short.txt: 16 tokens are fewer than one window needs (17).');
    expect(cutWindows(new Int32Array(17), { seqLen: 16, maxTokens: 100, bos: 'none' }, 'x').count).toBe(1);
  });
});
