import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { compile } from 'vega-lite';
import { describe, expect, it } from 'vitest';
import { lawLimits } from '../../src/report/charts/law-limits.js';
import { axisOf } from '../../src/report/model.js';
import { contrast, ramp, UI_COLORS } from '../../src/report/palette.js';
import { renderSvg } from '../../src/report/render.js';
import { assignSeries } from '../../src/report/series.js';
import { darkOf } from '../../src/report/theme.js';
import { SAMPLES } from './samples.js';

const root = resolve(import.meta.dirname, '../..');

describe.each(Object.entries(SAMPLES))('chart %s', (name, chart) => {
  it('keeps its checked-in spec', async () => {
    await expect(`${JSON.stringify(chart.spec, null, 1)}\n`).toMatchFileSnapshot(
      resolve(root, `fixtures/report/${name}.vl.json`),
    );
  });

  it('keeps its checked-in picture', async () => {
    const svg = await renderSvg(chart.spec);
    expect(svg).not.toMatch(/NaN|undefined/);
    await expect(`${svg}\n`).toMatchFileSnapshot(resolve(root, `fixtures/report/${name}.svg`));
  });

  it('names its clips by itself and the page’s prefix, whatever was drawn before', async () => {
    const names = async (prefix?: string) =>
      [...(await renderSvg(chart.spec, { prefix })).matchAll(/ id="([^"]+)"|="url\(#([^)]+)\)"/g)].map(
        ([, defined, used]) => defined ?? used!,
      );
    const alone = await names();
    expect(await names()).toEqual(alone);
    expect(await names(`${name}-`)).toEqual(alone.map((each) => `${name}-${each}`));
  });

  it('compiles without a warning', () => {
    const warnings: unknown[] = [];
    const note = (...args: readonly unknown[]) => {
      warnings.push(args);
      return logger;
    };
    const logger = { level: () => logger, warn: note, error: note, info: () => logger, debug: () => logger };
    compile({ ...chart.spec, width: 600 } as never, { logger: logger as never });
    expect(warnings).toEqual([]);
  });

  it('counts the row it cannot draw, and keeps it in the table', () => {
    expect(chart.caption).toMatch(/\b1 row .*is not drawn\./);
    const drawn = Math.max(
      ...Object.values(chart.spec.datasets as Record<string, unknown[]>).map((rows) => rows.length),
    );
    expect(chart.table.rows.length).toBeGreaterThan(0);
    expect(drawn).toBeGreaterThan(0);
  });

  it('says in words what it shows, with numbers', () => {
    expect(chart.alt).toMatch(/\d/);
    expect(chart.alt).not.toMatch(/NaN|undefined|null/);
  });
});

describe('charts', () => {
  it('are all sampled', () => {
    const files = readdirSync(resolve(root, 'src/report/charts')).map((file) => file.replace('.ts', ''));
    expect(Object.keys(SAMPLES).sort()).toEqual(files.sort());
  });

  it('have colours that stand out from the surface in both themes', () => {
    for (const hue of [258, 45, 325, 195, 150, 95]) {
      for (const { light } of [1, 2, 6, 12].flatMap((count) => ramp(hue, count))) {
        expect(contrast(light, UI_COLORS.surface.light)).toBeGreaterThan(2.7);
        expect(contrast(darkOf(light), UI_COLORS.surface.dark)).toBeGreaterThan(3);
      }
    }
  });
});

describe('the limit under each law', () => {
  it('is not squeezed by one that no share can have', () => {
    const row = (law: string, limit: number, weight: number | null) => ({
      ...{ series: 'relu', law, limit, low: null, high: null, deltaAicc: null, weight },
    });
    const chart = lawLimits({
      name: 'limits',
      y: axisOf('activation_ratio'),
      rows: [
        row('Sigmoid', 0.2, 0.6),
        row('Constant', 0.1, 0.3),
        row('Power', 9.5, null),
        row('Log', -2, 0.1),
      ],
      series: assignSeries([{ label: 'relu', activation: 'relu', size: 1e5 }]),
    });
    const [, points] = chart.spec.layer as { encoding: { x: { scale: { domain: [number, number] } } } }[];
    const [low, high] = points!.encoding.x.scale.domain;
    expect(low).toBeCloseTo(0.1 - 0.015, 9);
    expect(high).toBeCloseTo(0.2 + 0.015, 9);
    expect(chart.caption).toContain('2 limits lie beyond the axis');
  });

  it('holds the weightiest of a series whose laws with a limit have next to no weight', () => {
    const row = (series: string, limit: number, weight: number) => ({
      ...{ series, law: 'Line up to a bottleneck', limit, low: null, high: null, deltaAicc: null, weight },
    });
    const chart = lawLimits({
      name: 'limits',
      y: axisOf('activation_ratio'),
      rows: [row('PPL-5%', 0.1, 0.02), row('PPL-1%', 0.2, 0.004), row('PPL-1%', 0.9, 0.001)],
      series: assignSeries(['PPL-5%', 'PPL-1%'].map((label) => ({ label, activation: 'relu', size: null }))),
    });
    const [, points] = chart.spec.layer as { encoding: { x: { scale: { domain: [number, number] } } } }[];
    expect(points!.encoding.x.scale.domain[1]).toBeCloseTo(0.2 + 0.015, 9);
    expect(chart.caption).toContain('1 limit lies beyond the axis');
  });

  it('has room for every law in a narrow column', () => {
    const laws = ['Sigmoid', 'Constant', 'Power', 'Log', 'Line', 'Exponential', 'Average'];
    const { spec } = lawLimits({
      name: 'limits',
      y: axisOf('activation_ratio'),
      rows: laws.map((law, i) => ({
        ...{ series: 'relu-d192-l5-f14d7100b1', law, limit: 0.1 + i / 100, low: null, high: null },
        ...{ deltaAicc: null, weight: 1 },
      })),
      series: assignSeries([{ label: 'relu-d192-l5-f14d7100b1', activation: 'relu', size: 1e5 }]),
    });
    const shape = (spec.layer as { encoding: { shape: { legend: { columns: unknown } } } }[])[1]!.encoding
      .shape;
    // A number that follows the width changes once the height is laid out, and the last rows are cut off.
    expect(shape.legend.columns).toBe(1);
  });
});
