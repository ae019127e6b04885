import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readGridFile } from '../../src/sweep/grid-file.js';
import { planGrid } from '../../src/sweep/plan.js';
import { root } from '../cli/cli.js';

const folder = join(root, 'reports/study');
const plan = async (name: string) =>
  planGrid(await readGridFile(join(folder, name)), { withoutCorpus: true });

it.each(readdirSync(folder).filter((name) => name.endsWith('.yaml')))('%s can be planned', async (name) => {
  expect((await plan(name)).length).toBeGreaterThan(1);
});

it('plans shapes of equal parameters, within five percent', async () => {
  const runs = await plan('width-depth.yaml');
  expect(runs.map(({ config }) => config.layers)).toEqual([1, 2, 3, 4, 5, 6, 8, 10, 12, 16]);
  for (const { plan } of runs) expect(Math.abs(plan.parameters.nonEmbedding / 4e6 - 1)).toBeLessThan(0.05);
});

it('plans twenty-four checkpoints, half of them in the first quarter', async () => {
  for (const { config, plan: run } of await plan('tokens.yaml')) {
    expect(run.checkpoints).toHaveLength(24);
    expect(run.checkpoints.filter(({ tokens }) => tokens <= config.tokens / 4)).toHaveLength(12);
    expect(run.checkpoints.filter(({ phase }) => phase !== 'stable').length).toBeLessThan(6);
  }
});
