import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { writeTinyCorpus } from '../training/corpus.js';
import { root } from './cli.js';
import { sparselawHere as sparselaw } from './in-process.js';

const folder = await mkdtemp(join(tmpdir(), 'sparselaw-grid-'));
await writeTinyCorpus(join(folder, 'corpus'), { vocabSize: 300 });
afterAll(() => rm(folder, { recursive: true }));

const plan = async (grid: string) => {
  const { status, stdout, stderr } = await sparselaw(
    ['sweep', 'run', grid, '--out', 'study', '--dry-run', '--rate', 'none', '--json'],
    { cwd: folder },
  );
  expect(status, stdout + stderr).toBe(0);
  return (
    JSON.parse(stdout) as { runs: { config: { layers: number }; parameters: { nonEmbedding: number } }[] }
  ).runs;
};

it('plans the grid under fixtures, its deeper run with as many parameters', async () => {
  const runs = await plan(join(root, 'fixtures/sweep/grid.yaml'));
  expect(runs.map(({ config }) => config.layers)).toEqual([2, 2, 2, 2, 4]);
  for (const { parameters } of runs)
    expect(Math.abs(parameters.nonEmbedding / 25_000 - 1)).toBeLessThan(0.15);
});

it('plans the grid of the README', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  await writeFile(join(folder, 'grid.yaml'), /```yaml\n([\s\S]*?)```/.exec(readme)![1]!);
  expect(await plan('grid.yaml')).toHaveLength(5);
});
