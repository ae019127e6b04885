import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readOwnShape } from '../../src/checkpoint/hugging-face.js';
import { readTrainingState } from '../../src/checkpoint/read.js';
import { verifyCheckpoint } from '../../src/checkpoint/verify.js';
import { resolveConfig } from '../../src/config.js';
import { openTokens } from '../../src/corpus/tokens.js';
import { fitFileSchema, sealFit } from '../../src/files/fit.js';
import { listCheckpoints } from '../../src/files/run.js';
import { emptyRow } from '../../src/files/table.js';
import { fitTable } from '../../src/fit/fit-table.js';
import { readJson } from '../../src/io/json.js';
import { readSafetensorsHeader } from '../../src/io/safetensors.js';
import { randomStream } from '../../src/random.js';
import { readSources } from '../../src/report/inputs.js';
import { weightsHash } from '../../src/sparsity/load.js';
import { resolveTarget } from '../../src/sparsity/targets.js';
import { writeTable } from '../../src/table/write.js';
import { train } from '../../src/training/train.js';
import { TINY, writeTinyCorpus } from '../training/corpus.js';

/** Bytes flipped in each file; the long form flips more (SPARSELAW_TEST_COUNT). */
const FLIPS = Number(process.env.SPARSELAW_TEST_COUNT ?? 12);
const stream = randomStream(Number(process.env.SPARSELAW_TEST_SEED ?? 1), 'bit rot');

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-rot-'));
const corpus = join(folder, 'corpus');
let checkpoint: string;
beforeAll(async () => {
  await writeTinyCorpus(corpus);
  const flags = { ...TINY, data: corpus, tokens: 64, checkpoints: 'every:32', keepState: 9 };
  await train(resolveConfig({ flags, corpusVocabSize: 32 }), { out: join(folder, 'run') });
  checkpoint = (await listCheckpoints(join(folder, 'run'))).at(-1)!.path;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Flips one bit of a byte for each position drawn, and hands the position over while it is flipped. */
async function eachFlip(path: string, check: (position: number) => Promise<void>): Promise<void> {
  const honest = readFileSync(path);
  try {
    for (let i = 0; i < FLIPS; i++) {
      const position = stream.integer(honest.length);
      const bytes = Buffer.from(honest);
      bytes[position] = bytes[position]! ^ (1 << stream.integer(8));
      writeFileSync(path, bytes);
      await check(position);
    }
  } finally {
    writeFileSync(path, honest);
  }
}

describe('one flipped bit', () => {
  it('in any file of a checkpoint is found, by tensor, and never trained on', async () => {
    const shape = await readOwnShape(join(checkpoint, 'config.json'));
    expect((await verifyCheckpoint(checkpoint)).problems).toEqual([]);
    for (const name of readdirSync(checkpoint)) {
      const path = join(checkpoint, name);
      const { tensors } = name.endsWith('.safetensors')
        ? await readSafetensorsHeader(path)
        : { tensors: new Map<string, { start: number; bytes: number }>() };
      await eachFlip(path, async (position) => {
        const { problems } = await verifyCheckpoint(checkpoint);
        expect(problems.length, `${name}, byte ${position}`).toBeGreaterThan(0);
        const hit = [...tensors].find(
          ([, { start, bytes }]) => start <= position && position < start + bytes,
        );
        if (hit) expect(problems[0]).toMatchObject({ file: name, tensor: hit[0] });
        await expect(readTrainingState(checkpoint, shape)).rejects.toMatchObject({ exitStatus: 3 });
      });
    }
  });

  it.each(['train/00000.bin', 'validation/00000.bin', 'tokenizer.json', 'manifest.json'])(
    'in %s of a corpus is found when it is opened',
    async (name) => {
      const split = name.startsWith('validation') ? 'validation' : 'train';
      await eachFlip(join(corpus, name), async (position) => {
        const opening = openTokens(corpus, split).then((source) => source.close());
        await expect(opening, `byte ${position}`).rejects.toMatchObject({ exitStatus: 3 });
      });
    },
  );

  it('in fit.json is found when it is read, unless every value stays the same', async () => {
    const fits = readFileSync(
      join(import.meta.dirname, '../../reports/sparsing-law/silu-limit-against-scale.fit.json'),
      'utf8',
    );
    const { selfSha256: _, ...body } = fitFileSchema.parse(JSON.parse(fits));
    const path = join(folder, 'fit.json');
    const sealed = JSON.stringify(sealFit(body));
    writeFileSync(path, sealed);
    const honest = JSON.parse(sealed);
    await eachFlip(path, async (position) => {
      const read = await readJson(path, fitFileSchema).catch((error) => error);
      // 1e-7 and 1E-7 are one number.
      if (!(read instanceof Error)) expect(read, `byte ${position}`).toEqual(honest);
      else expect(read, `byte ${position}`).toMatchObject({ exitStatus: 3 });
    });
  });

  it.each(['table.csv', 'table.parquet'])('in %s is told by fit and report', async (name) => {
    const path = join(folder, name);
    const rows = [1, 2, 3, 4, 5].map((tokens) => ({
      ...emptyRow(),
      run_id: 'relu',
      tokens: tokens * 1e6,
      activation_ratio: 0.3 + 0.01 * tokens,
    }));
    await writeTable(path, rows);
    expect((await readSources([path])).notes).toEqual([]);
    await eachFlip(path, async (position) => {
      const said = await readSources([path]).then(
        ({ notes }) => notes,
        (error) => [error.message],
      );
      expect(said.join(), `byte ${position}`).toContain(name);
      const fitted = await fitTable(path, { laws: ['constant'], threads: 1 }).then(
        ({ notices }) => notices,
        (error) => [error.message],
      );
      expect(fitted.join(), `byte ${position}`).toMatch(/was changed|Nothing could be fitted|table\./);
    });
  });
});

describe('weights that are not what was written', () => {
  it('are not measured either; the tensor is named', async () => {
    const path = join(checkpoint, 'model.safetensors');
    const { tensors } = await readSafetensorsHeader(path);
    const [target] = await resolveTarget(checkpoint);
    await weightsHash(target!);
    await eachFlip(path, async (position) => {
      const error = await weightsHash(target!).catch((thrown) => thrown);
      expect(error).toMatchObject({ exitStatus: 3, code: 'damaged-checkpoint' });
      const hit = [...tensors].find(([, { start, bytes }]) => start <= position && position < start + bytes);
      if (hit) expect(error.message).toContain(hit[0]);
    });
  });
});
