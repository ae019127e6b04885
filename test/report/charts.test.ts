import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { compile } from 'vega-lite';
import { describe, expect, it } from 'vitest';
import { contrast, ramp, UI_COLORS } from '../../src/report/palette.js';
import { renderSvg } from '../../src/report/render.js';
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
