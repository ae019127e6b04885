import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fitTable } from '../../src/fit/fit-table.js';
import { limitsByLaw } from '../../src/report/fit-charts.js';
import { buildModel, type ReportModel } from '../../src/report/model.js';
import { summarySection } from '../../src/report/summary.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-summary-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const LAWS = ['power', 'piecewise-linear', 'linear'];
/** Five series of one curve over x. */
async function modelOf(x: string, xs: number[], curve: (x: number, i: number) => number, laws = LAWS) {
  const table = join(folder, `${x}.csv`);
  const series = ['a', 'b', 'c', 'd', 'e'];
  const rows = series.flatMap((name, k) => xs.map((value, i) => `${name},${value},${curve(value, i + k)}`));
  await writeFile(table, `series,${x},activation_ratio\n${rows.join('\n')}\n`);
  const options = { laws, x, y: 'activation_ratio', group: ['series'], where: [] };
  const { file } = await fitTable(table, options as never);
  return buildModel('', {
    fits: [{ path: 'fit.json', sha256: '', file }],
    ...{ tables: [], runs: [], evaluations: [], profiles: [], notes: [] },
  } as never);
}
const summaryOf = (model: ReportModel) => {
  const { markup } = summarySection(model, { isStatic: false, maxSeries: 99 })!;
  return markup.replaceAll(/<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ');
};

const SHAPES = [9, 15, 20, 26, 40, 53, 75, 120, 210, 592];
/** No bend, and nothing that levels off. */
const rising = (x: number, i: number) => 0.03 * x ** 0.27 + 0.0003 * Math.sin(5 * i);

describe('where laws without a limit hold most of the weight', () => {
  it('says so in place of an average, which it does not draw', async () => {
    const model = await modelOf('width_depth_ratio', SHAPES, rising);
    const text = summaryOf(model);
    expect(text).toMatch(/none 99% of the weight/);
    expect(text).not.toMatch(/averaged over|moves the limit/);
    expect(text).toContain('For a, b, c, d and e most of the evidence is for laws without a limit.');
    const [chart] = limitsByLaw(model)!.charts;
    expect(chart!.table.rows.map(({ law }) => law)).not.toContain('Average over the laws');
    expect(chart!.caption).toContain('No average stands for these series: laws without a limit hold most');
  });
});

it('averages as before where laws with a limit hold the weight', async () => {
  const level = (x: number, i: number) => 0.05 + 0.001 * Math.min(x, 60) + 0.0003 * Math.sin(5 * i);
  const model = await modelOf('width_depth_ratio', SHAPES, level);
  expect(summaryOf(model)).not.toMatch(/of the weight|most of the evidence/);
  expect(limitsByLaw(model)!.charts[0]!.table.rows.map(({ law }) => law)).toContain('Average over the laws');
});

describe('advice', () => {
  it.each([
    ['width_depth_ratio', 'Measure more shapes beyond 592', 'more shapes beyond 592'],
    ['params_non_embedding', 'Measure more sizes beyond 592', 'more sizes beyond 592'],
    [
      'learning_rate',
      'Measure more values of learning rate beyond 592',
      'values of learning rate beyond 592',
    ],
  ])('for laws over %s is no longer training', async (x, title, cell) => {
    const text = summaryOf(await modelOf(x, SHAPES, rising));
    expect(text).toContain(`${title} : a, b, c, d and e. Those measured do not tell where the curve ends.`);
    expect(text).toContain(cell);
    expect(text).toContain('No limit within the range measured');
    expect(text).not.toMatch(/train on|longer runs/i);
  });

  it('for a level part with few points is to measure there', async () => {
    const late = (x: number, i: number) => 0.02 + 0.0002 * Math.min(x, 400) + 0.006 * Math.sin(5 * i);
    const text = summaryOf(await modelOf('width_depth_ratio', SHAPES, late, ['piecewise-linear']));
    expect(text).toMatch(
      /Measure more shapes between \d+ and 592: too few of these tell where the curve ends/,
    );
  });

  it('over tokens is to train on', async () => {
    const tokens = SHAPES.map((x) => x * 1e7);
    const text = summaryOf(await modelOf('tokens', tokens, (x, i) => rising(x / 1e7, i)));
    expect(text).toMatch(/Train on: no law with a limit does better over these tokens/);
    expect(text).not.toContain('Measure more');
  });
});
