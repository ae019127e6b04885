import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fitTable } from '../../src/fit/fit-table.js';
import { readCsv } from '../../src/io/csv.js';

const path = (file: string) => fileURLToPath(new URL(`../../fixtures/sparsing-law/${file}`, import.meta.url));
const points = path('activation_vs_tokens.csv');
const golden = (await readCsv(path('refit_golden.csv'))).rows;

const law = (activation: string) => (activation === 'relu' ? 'logspace-power' : 'convergent-power');

/** All series of one activation, each with its sensitivity to leading points. */
async function fits(activation: string) {
  const { file } = await fitTable(points, {
    laws: [law(activation)],
    group: ['scale', 'activation'],
    where: [`activation=${activation}`],
    threads: 1,
  });
  return file.fits;
}

const all = [...(await fits('relu')), ...(await fits('silu'))];

describe("the authors' points, refitted", () => {
  const rows = golden.map(
    (row) => [`${row.scale} ${row.activation} from point ${row.drop_first}`, row] as const,
  );

  it('has all the series and the eight rows that match the publication', () => {
    expect(all).toHaveLength(11);
    expect(golden.filter((row) => row.verdict === 'matches published')).toHaveLength(8);
  });

  it.each(rows)('%s: the golden optimum to 1 %', (_name, row) => {
    const fit = all.find((own) => own.group.scale === row.scale && own.group.activation === row.activation)!;
    const drop = fit.dropFirst.find((own) => own.dropped === Number(row.drop_first))!;
    expect(drop.n).toBe(Number(row.n));
    expect(Math.abs(drop.sse / Number(row.sse) - 1)).toBeLessThan(1e-5);
    for (const name of ['alpha', 'b', 'c', 'A0']) {
      if (row[name] === '' || (row.scale === '0.1B' && name === 'b')) continue;
      expect(Math.abs(drop.parameters[name]! - Number(row[name]))).toBeLessThan(
        0.01 * Math.abs(Number(row[name])) + 1e-12,
      );
      if (row[`se_${name}`] === 'nan' || row[`se_${name}`] === '') continue;
      // The golden errors come from finite differences.
      expect(Math.abs(drop.standardErrors[name]! / Number(row[`se_${name}`]) - 1)).toBeLessThan(0.05);
    }
  });

  it('0.1B ReLU: a tight curve, weak b and c, a weak limit that contains the rival law’s', () => {
    const fit = all.find((own) => own.group.scale === '0.1B' && own.group.activation === 'relu')!;
    expect(Math.abs(fit.mse! / 2.674e-7 - 1)).toBeLessThan(0.01);
    expect(fit.r2).toBeGreaterThan(0.99);
    expect(fit.verdict).toBe('weakly-identified');
    expect(fit.parameters.b!.verdict).toBe('weakly-identified');
    expect(fit.parameters.c!.verdict).toBe('weakly-identified');
    expect(fit.limit!.verdict).toBe('weakly-identified');
    const [low, high] = fit.limit!.interval;
    expect(low).toBeLessThan(0.0542);
    expect(high).toBeGreaterThan(0.0614);
  });

  it('0.4B ReLU: the limit lies at its bound and is named, with a one-sided interval', () => {
    const fit = all.find((own) => own.group.scale === '0.4B' && own.group.activation === 'relu')!;
    expect(fit.verdict).toBe('at-bound');
    expect(fit.parameters.A0).toMatchObject({
      estimate: 0,
      atBound: true,
      intervalMethod: 'profile-one-sided',
    });
    expect(fit.parameters.A0!.interval[0]).toBe(0);
    expect(fit.parameters.A0!.interval[1]).toBeGreaterThan(0.03);
  });

  it('the starts agree', () => {
    for (const fit of all) expect(fit.starts.agreeing).toBeGreaterThanOrEqual(10);
  });
});

describe('--law auto', () => {
  it('prefers the power law over a floor for 0.1B ReLU and averages the limits', async () => {
    const { file } = await fitTable(points, {
      laws: ['auto'],
      group: ['scale', 'activation'],
      where: ['activation=relu', 'scale=0.1B'],
      threads: 1,
    });
    const [comparison] = file.comparison;
    expect(comparison!.chosen!.law).toBe('offset-power');
    expect(comparison!.chosen!.why).toContain('AICc');
    const weights = comparison!.ranking.map(({ weight }) => weight ?? 0);
    expect(weights.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
    const averaged = comparison!.averagedLimit!;
    expect(averaged.estimate).toBeGreaterThan(0.054);
    expect(averaged.estimate).toBeLessThan(0.0615);
    expect(file.fits.map(({ law: id }) => id)).not.toContain('convergent-power');
  });
});
