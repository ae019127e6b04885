import { expect, it } from 'vitest';
import { emptyRow } from '../../src/files/table.js';
import { lawLimits } from '../../src/report/charts/law-limits.js';
import { trainingLoss } from '../../src/report/charts/training-loss.js';
import { axisOf, buildModel } from '../../src/report/model.js';
import { renderSvg, withoutLegend } from '../../src/report/render.js';
import { runNames } from '../../src/report/run-names.js';
import { figure, runSection } from '../../src/report/sections.js';

const SMALL = 'relu-d144-l16-3ffa198683';
const FIRST = 'relu-d240-l6-0123456789';
const SECOND = 'relu-d240-l6-abcdef0123';

const names = (...runs: [id: string, seed?: number][]) =>
  [...runNames(runs.map(([id, seed = null]) => ({ id, seed }))).values()] as string[];

it('leaves the hash out where no other run of the page has the rest of the name', () => {
  expect(names([SMALL, 0])).toEqual(['relu-d144-l16']);
  expect(names([SMALL], [FIRST], [SMALL])).toEqual(['relu-d144-l16', 'relu-d240-l6']);
  expect(names([`a/${SMALL}`], [`b/${SMALL}`])).toEqual(['a/relu-d144-l16', 'b/relu-d144-l16']);
});

it('leaves a name without a hash as it is', () => {
  const kept = ['0.1B relu', 'pythia-160m', 'relu-d144-l16-3ffa19868', '-3ffa198683', 'relu-3FFA198683'];
  expect(names(...kept.map((id): [string] => [id]))).toEqual(kept);
  expect(names()).toEqual([]);
});

it('tells runs of one shape by their seeds, and by their hashes where those do not', () => {
  expect(names([FIRST, 0], [SECOND, 1], [SMALL, 1])).toEqual([
    'relu-d240-l6 seed 0',
    'relu-d240-l6 seed 1',
    'relu-d144-l16',
  ]);
  // A fit tells no seed, the table beside it does.
  expect(names([FIRST], [SECOND], [FIRST, 0], [SECOND, 1])).toEqual([
    'relu-d240-l6 seed 0',
    'relu-d240-l6 seed 1',
  ]);
  expect(names([FIRST, 1], [SECOND, 1])).toEqual([FIRST, SECOND]);
  expect(names([FIRST, 1], [SECOND])).toEqual([FIRST, SECOND]);
  expect(names([FIRST, 1], [FIRST, 2], [SECOND, 3])).toEqual([FIRST, SECOND]);
});

it('calls no run by the id of another', () => {
  expect(names([SMALL, 0], ['relu-d144-l16', 1])).toEqual([SMALL, 'relu-d144-l16']);
  expect(names([`${FIRST}-3ffa198683`], [FIRST])).toEqual([`${FIRST}-3ffa198683`, 'relu-d240-l6']);
  expect(names([FIRST, 0], [SECOND, 1], ['relu-d240-l6 seed 0'])).toEqual([
    FIRST,
    'relu-d240-l6 seed 1',
    'relu-d240-l6 seed 0',
  ]);
  expect(names([FIRST, 0], [SECOND, 1], ['relu-d240-l6 seed 0-3ffa198683'])).toEqual([
    FIRST,
    'relu-d240-l6 seed 1',
    'relu-d240-l6 seed 0-3ffa198683',
  ]);
});

const row = (id: string, seed: number, activation = 'relu') => ({
  known: { ...emptyRow(), run_id: id, seed, activation, tokens: 1e6, activation_ratio: 0.2 },
  cells: {},
});
const modelOf = (groups: Record<string, string>[], rows: ReturnType<typeof row>[]) =>
  buildModel('', {
    fits: [
      {
        path: 'fit.json',
        sha256: '',
        file: {
          table: { sha256: '' },
          x: 'tokens',
          y: 'activation_ratio',
          fits: groups.map((group) => ({ group, law: 'log' })),
          comparison: [],
        },
      },
    ],
    tables: [{ path: 'table.csv', sha256: '', columns: ['run_id', 'seed', 'activation'], rows }],
    runs: [],
    evaluations: [],
    profiles: [],
    notes: [],
  } as never);

it('names the series of fits and tables alike, with what else their groups say, and keeps their labels', () => {
  const model = modelOf(
    [{ run_id: SMALL }, { run_id: SMALL, shared_cett: 'last:5' }, { run_id: FIRST }],
    [row(SMALL, 0), row(FIRST, 0), row(SECOND, 1)],
  );
  expect(model.fits.map(({ label, name }) => [label, name])).toEqual([
    [SMALL, 'relu-d144-l16'],
    [`${SMALL} shared bound`, 'relu-d144-l16 shared bound'],
    [FIRST, 'relu-d240-l6 seed 0'],
  ]);
  expect(model.series.get(SECOND)!.name).toBe('relu-d240-l6 seed 1');
  const grouped = modelOf([{ activation: 'relu' }, { activation: 'silu' }], [row('relu-3ffa198683', 0)]);
  expect([...grouped.series.values()].map(({ name }) => name)).toEqual(['relu', 'relu-3ffa198683', 'silu']);
});

it('lists the runs by their ids, with a name that is no part of the id', () => {
  const model = modelOf([], [row(SMALL, 0), row(FIRST, 0), row(SECOND, 1)]);
  const { markup } = runSection(model, { outFolder: null, maxSeries: 9 })!;
  expect(markup).toContain(`${SMALL}</td>`);
  expect(markup).toContain(`${FIRST} (relu-d240-l6 seed 0)</td>`);
  expect(markup).toContain(`${SECOND} (relu-d240-l6 seed 1)</td>`);
});

const { series } = modelOf([], [row(SMALL, 0), row('other "x"', 0, 'silu')]);

it('draws the names on axes, and keeps the ids in the data and so in tooltips', async () => {
  const chart = lawLimits({
    name: 'limits',
    y: axisOf('activation_ratio'),
    rows: [...series.keys()].map((label) => ({
      ...{ series: label, law: 'Power', limit: 0.1, low: null, high: null },
      ...{ deltaAicc: null, weight: 1 },
    })),
    series: [...series.values()],
  });
  expect(chart.spec.datasets).toMatchObject({ limits: [{ series: SMALL }, { series: 'other "x"' }] });
  const svg = await renderSvg(chart.spec);
  expect(svg).toContain('>relu-d144-l16<');
  expect(svg).toContain('>other "x"<');
  expect(chart.alt).not.toContain('3ffa198683');
});

it('draws them in the legend of a figure, and no legend on the page, which has its own', async () => {
  const chart = trainingLoss({
    name: 'loss',
    rows: [{ series: SMALL, tokens: 1e6, loss: 3, kind: 'training' }],
    series: [...series.values()],
    averaged: 1,
  });
  const drawn = await renderSvg(chart.spec);
  expect(drawn).toContain('>relu-d144-l16<');
  expect(drawn).toContain('>other "x"<');
  expect(drawn).not.toContain('3ffa198683');
  expect(await renderSvg(withoutLegend(chart))).not.toContain('relu-d144-l16');
  const legend = figure(chart, {}).markup;
  expect(legend).toMatch(
    /<button type="button" data-series="([^"]+)" title="\1"[^>]*>.*<\/svg>relu-d144-l16</,
  );
});
