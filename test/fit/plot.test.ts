import { describe, expect, it } from 'vitest';
import type { Fit } from '../../src/files/fit.js';
import { fitLaw } from '../../src/fit/fit-law.js';
import { DEFAULT_FIT_OPTIONS } from '../../src/fit/options.js';
import { plotFit } from '../../src/fit/plot.js';
import { findLaw } from '../../src/laws/index.js';

const file = { x: 'tokens', y: 'activation_ratio', xUnit: 1e9 };
const law = findLaw('offset-power')!;
const x = Float64Array.from({ length: 14 }, (_, i) => 0.8 * 1.35 ** i);
const y = x.map((value, i) => 0.06 + 0.04 * value ** -0.5 + 2e-4 * Math.sin(3 * i));
const NO_CLUSTERS = {
  clusters: null,
  clusterNames: [],
  clusterParameters: [],
  modelParameters: null,
  notes: [],
};
const fit: Fit = fitLaw(
  law,
  { ...NO_CLUSTERS, group: { run_id: 'relu-1' }, x, y },
  { ...DEFAULT_FIT_OPTIONS, xUnit: 1e9 },
);
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
const ESCAPE = /\u001b/;

describe('the curve as text', () => {
  it('fits 80 columns and says units, axis, law and group', () => {
    const text = plotFit(fit, file, { columns: 80, color: false });
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(text).toMatch(/^run_id=relu-1\n/);
    expect(text).toContain('800M');
    expect(text).toContain(`${(0.8 * 1.35 ** 13).toFixed(1)}B`);
    expect(text).toContain('activation_ratio against tokens, logarithmic; ● measured, ━ offset-power');
    expect(text.match(/●/g)!.length).toBeGreaterThanOrEqual(12);
  });

  it('colours only where it is asked to', () => {
    expect(plotFit(fit, file, { columns: 80, color: false })).not.toMatch(ESCAPE);
    expect(plotFit(fit, file, { columns: 80, color: true })).toMatch(ESCAPE);
  });

  it('says why where there is nothing to draw', () => {
    expect(plotFit({ ...fit, points: null }, file, { columns: 80, color: false })).toBe(
      'run_id=relu-1, offset-power: not drawn, its points were not written (--detail full).',
    );
  });
});
