import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Config } from '../../src/config.js';
import { shapeOf } from '../../src/config.js';
import { parameterCounts } from '../../src/model/shape.js';
import { expandGrid } from '../../src/sweep/expand.js';
import { parseGrid } from '../../src/sweep/grid-file.js';
import { planGrid } from '../../src/sweep/plan.js';
import { writeTinyCorpus } from '../training/corpus.js';

let data: string;
beforeAll(async () => {
  data = await writeTinyCorpus(await mkdtemp(join(tmpdir(), 'sparselaw-grid-')));
});
afterAll(() => rm(data, { recursive: true }));

const plan = async (text: string) => planGrid(parseGrid(text, 'grid.yaml'), { data });
const configs = async (text: string): Promise<Config[]> => (await plan(text)).map(({ config }) => config);
const values = (text: string) => expandGrid(parseGrid(text, 'grid.yaml')).map((run) => run.values);

describe('expandGrid', () => {
  it('makes every combination of a product, the last key changing fastest', () => {
    expect(values('product: { activation: [relu, silu], seed: [0, 1] }')).toEqual([
      { activation: 'relu', seed: 0 },
      { activation: 'relu', seed: 1 },
      { activation: 'silu', seed: 0 },
      { activation: 'silu', seed: 1 },
    ]);
  });

  it('reads lists side by side, adds written runs, and lets nearer values win', () => {
    expect(
      values(`
defaults: { seed: 7, width: 32 }
product: { activation: [relu, silu] }
lists: { width: [64, 96], layers: [2, 3] }
runs:
  - { seed: 9 }
grids:
  - defaults: { seed: 8 }
    product: { layers: [5] }
`),
    ).toEqual([
      { seed: 7, width: 64, activation: 'relu', layers: 2 },
      { seed: 7, width: 96, activation: 'relu', layers: 3 },
      { seed: 7, width: 64, activation: 'silu', layers: 2 },
      { seed: 7, width: 96, activation: 'silu', layers: 3 },
      { seed: 9, width: 32 },
      { seed: 8, width: 32, layers: 5 },
    ]);
  });

  it('takes defaults alone as one run', () => {
    expect(values('defaults: { seed: 7 }')).toEqual([{ seed: 7 }]);
  });

  it('follows aliases of YAML', () => {
    expect(values('lists: { seed: &seeds [1, 2], layers: *seeds }')).toEqual([
      { seed: 1, layers: 1 },
      { seed: 2, layers: 2 },
    ]);
  });
});

describe('derived values', () => {
  it('follow from another key, rounded on request', async () => {
    const [config] = await configs(
      'runs: [{ seqLen: 64, width: 100, ff: 2.5 * width to 16, heads: width / 50, batchTokens: 4 × seqLen, decay: 0.25 tokens, tokens: 64k }]',
    );
    expect(config).toMatchObject({ ff: 256, heads: 2, batchTokens: 256, tokens: 64_000, decay: 16_000 });
  });

  it('count tokens in parameters outside embedding and head', async () => {
    const [config] = await configs(
      'runs: [{ seqLen: 64, width: 64, layers: 2, tokens: 20 parameters, batchTokens: 64, decay: tokens / 10 }]',
    );
    const { nonEmbedding } = parameterCounts(shapeOf(config!));
    expect(Math.abs(config!.tokens - 20 * nonEmbedding)).toBeLessThanOrEqual(32);
    expect(config!.decay).toBe(Math.round((20 * nonEmbedding) / 10));
  });

  it('find widths of equal parameters for many depths, each the nearest multiple', async () => {
    const depths = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16];
    const found = await configs(
      `
defaults: { width: 4M parameters to 8, ff: 2.5 * width }
product: { layers: [${depths}] }
grids: [{ defaults: { width: 64 }, product: { layers: [4] } }]
`,
    );
    const equal = found.slice(0, depths.length);
    expect(equal.map(({ layers }) => layers)).toEqual(depths);
    for (const config of equal) {
      const count = (width: number) =>
        parameterCounts(
          shapeOf({
            ...config,
            width,
            ff: 2.5 * width,
            headDim: config.headDim,
            heads: width / config.headDim,
          }),
        ).nonEmbedding;
      expect(config.width % 8).toBe(0);
      expect(config.ff).toBe(2.5 * config.width);
      const off = (width: number) => Math.abs(Math.log(count(width) / 4e6));
      expect(off(config.width)).toBeLessThanOrEqual(Math.min(off(config.width - 8), off(config.width + 8)));
    }
    expect(found.at(-1)).toMatchObject({ layers: 4, width: 64 });
  });

  it('find the depth for a width', async () => {
    const [config] = await configs('runs: [{ width: 256, layers: 8M parameters }]');
    // 11.5 d² + 2 d a layer (Sparsing Law §3.1).
    expect(config!.layers).toBe(Math.round(8e6 / (11.5 * 256 ** 2 + 512)));
  });
});

describe('planGrid', () => {
  it('names runs by their configuration, and makes equal ones one', async () => {
    const twice = await plan(`product: { seed: [0, 1] }\nruns: [{ seed: 1 }, { logEvery: 3 }]`);
    expect(twice.map(({ config }) => config.seed)).toEqual([0, 1]);
    const other = await plan(`runs: [{ seed: 1, learningRate: 0.5 }]`);
    expect(other[0]!.id).not.toBe(twice[1]!.id);
  });

  it.each([
    ['defaults: { widht: 64 }', 1, 'widht is not a key of the configuration. Did you mean width?'],
    [
      'product:\n  seed: [0]\n  widht: [64]',
      3,
      'widht is not a key of the configuration. Did you mean width?',
    ],
    [
      'product:\n  width:\n    - 64\n    - wide',
      4,
      'width must be a whole number of at least 1, not "wide".',
    ],
    ['runs:\n  - seed: 1\n  - seed: -1', 3, 'seed must be a whole number of at least 0, not -1.'],
    ['prodcut: { seed: [0] }', 1, 'prodcut is not a key of a grid. Did you mean product?'],
    ['grids:\n  - prodct: {}', 2, 'grids.0.prodct is not a key of a grid. Did you mean product?'],
    [
      'measure:\n  - metric: pplp\n    toknes: 4',
      3,
      'measure.0.toknes is not a key of a grid. Did you mean tokens?',
    ],
    ['measure:\n  - metric: fat', 2, 'measure.0.metric fat needs epsilon as well.'],
    ['measure:\n  - { metric: [zero, ppl] }', 2, 'measure.0.metric.1 must be one of zero, fat,'],
    ['product: { seed: 3 }', 1, 'product.seed must be a list of values.'],
    ['product: { seed: [] }', 1, 'product.seed must not be empty.'],
    [
      'lists:\n  seed: [0, 1]\n  layers: [2]',
      3,
      'lists are read side by side, but layers has 1 values and seed 2.',
    ],
    [
      'defaults: { ff: 2.5 * widht }',
      1,
      'ff = 2.5 * widht: widht is no number of the configuration. Did you mean width?',
    ],
    ['defaults:\n  width: 64\n  ff: 2 * heads', 3, 'ff refers to heads, to which the grid gives no value.'],
    ['defaults: { ff: 2 * width, width: ff / 2 }', 1, 'ff refers to width, which refers back to it.'],
    ['defaults: { ff: 4M parameters }', 1, 'ff is a part of the model: only width and layers can follow'],
    ['defaults: { width: 4M parameters, layers: 1M parameters }', 1, 'layers and width cannot both follow'],
    ['defaults: { width: 63 }\n', 1, 'a head'],
    ['defaults:\n  checkpoints: log:x', 2, 'checkpoints: "log:x"'],
    ['slurm: { time: [1] }', 1, 'slurm.time must be a time such as'],
    ['table: table.txt', 1, 'table must be a name that ends in .csv or .parquet.'],
  ])('refuses %j, naming the line', async (text, line, message) => {
    const error = await plan(text).then(
      () => undefined,
      (thrown: unknown) => thrown as { message: string; exitStatus: number },
    );
    expect(error).toMatchObject({ exitStatus: 3 });
    expect(error!.message).toContain(message);
    expect(error!.message).toContain(`grid.yaml, line ${line}`);
  });
});
