import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { SparselawError } from '../../src/errors.js';
import { fitFileSchema } from '../../src/files/fit.js';
import { fitTable } from '../../src/fit/fit-table.js';
import { predict } from '../../src/fit/predict.js';

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-fit-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function table(text: string): string {
  const path = join(folder, `${files++}.csv`);
  writeFileSync(path, text);
  return path;
}

const wobble = (i: number) => 1e-4 * Math.sin(12.9898 * i + 1);
/** A clean SiLU-like series of n rows: `tokens,activation_ratio`. */
const rows = (n: number, limit = 0.4) =>
  Array.from({ length: n }, (_, i) => {
    const D = 1 + 2 * i;
    return `${D * 1e9},${limit - 0.1 * D ** -0.5 + wobble(i)}`;
  });
const csv = (lines: string[]) => table(`tokens,activation_ratio\n${lines.join('\n')}\n`);
const runFit = (path: string, options: Partial<Parameters<typeof fitTable>[1]> = {}) =>
  fitTable(path, { laws: ['convergent-power'], threads: 1, ...options });
const failure = async (work: Promise<unknown>): Promise<SparselawError> =>
  work.then(
    () => {
      throw new Error('should have failed');
    },
    (error: SparselawError) => error,
  );

describe('reading a table', () => {
  it('takes BOM, CRLF, comments, quoted names, scientific notation and rows in any order', async () => {
    const body = rows(12).reverse();
    const path = table(
      `\ufeff# a comment\r\n"tokens","activation_ratio","the ""run"", x"\r\n${body
        .map((row) => `${row.replace('e', 'E')},"r # 1"`)
        .join('\r\n# another\r\n')}\r\n`,
    );
    const { file } = await runFit(path, { group: ['the "run", x'] });
    expect(file.fits[0]).toMatchObject({
      group: { 'the "run", x': 'r # 1' },
      n: 12,
      verdict: 'ok',
      xRange: [1, 23],
    });
    expect(Math.abs(file.fits[0]!.limit!.estimate - 0.4)).toBeLessThan(2e-3);
    expect(fitFileSchema.parse(JSON.parse(JSON.stringify(file)))).toEqual(file);
  });

  it.each([
    ['text', 'abc'],
    ['NaN', 'NaN'],
    ['infinity', '1e999'],
  ])('names line and column of %s', async (_name, bad) => {
    const lines = rows(8);
    lines[4] = `9e9,${bad}`;
    const error = await failure(runFit(csv(lines)));
    expect(error.exitStatus).toBe(3);
    expect(error.message).toContain('line 6, column "activation_ratio"');
  });

  it('refuses negative tokens by line, leaves zero tokens out and says so', async () => {
    const error = await failure(runFit(csv([...rows(8), '-1,0.3'])));
    expect(error.exitStatus).toBe(3);
    expect(error.message).toContain('line 10, column "tokens"');
    const { file, notices } = await runFit(csv([...rows(8), '0,0.3']));
    expect(file.fits[0]!.n).toBe(8);
    expect(notices.join()).toContain('1 row with tokens = 0');
  });

  it('names a missing column and lists those that are there', async () => {
    const error = await failure(runFit(csv(rows(8)), { y: 'sparsity' }));
    expect(error.exitStatus).toBe(3);
    expect(error.message).toContain('"sparsity"');
    expect(error.suggestions.join()).toContain('activation_ratio');
  });

  it('leaves out phases unless told, and missing values', async () => {
    const lines = rows(10).map((row, i) => `${row},${i === 0 ? 'warmup' : i === 9 ? 'decay' : 'stable'}`);
    const path = table(`tokens,activation_ratio,phase\n${lines.join('\n')}\n9e10,,stable\n`);
    const { file, notices } = await runFit(path);
    expect(file.fits[0]!.n).toBe(8);
    expect(notices.join(' ')).toMatch(/phase warmup.*phase decay.*activation_ratio missing/);
    expect((await runFit(path, { allPhases: true })).file.fits[0]!.n).toBe(10);
  });

  it('says when --where leaves nothing', async () => {
    const error = await failure(runFit(csv(rows(8)), { where: ['tokens=7'] }));
    expect(error.exitStatus).toBe(3);
    expect(error.message).toContain('no rows to fit');
  });
});

describe('verdicts instead of numbers', () => {
  it('three points for four parameters: exit 5 when nothing else is there', async () => {
    const error = await failure(runFit(csv(rows(3)), { laws: ['logspace-power'] }));
    expect(error.exitStatus).toBe(5);
    expect(error.message).toContain('3 points for 4 parameters');
  });

  it('constant y, an empty group and too few points fail by name while others are fitted', async () => {
    const good = rows(10).map((row) => `${row},good`);
    const flat = rows(10).map((row) => `${row.split(',')[0]},0.3,flat`);
    const path = table(
      `tokens,activation_ratio,run_id\n${[...good, ...flat, ...rows(3).map((row) => `${row},short`), '1e9,,empty'].join('\n')}\n`,
    );
    const { file } = await runFit(path);
    expect(file.failed.map(({ group, reason }) => [group.run_id, reason.split(':')[0]])).toEqual([
      ['flat', 'y is constant (0.3)'],
      ['short', '3 points for 3 parameters'],
      ['empty', '0 points for 3 parameters'],
    ]);
    expect(file.fits.find((own) => own.group.run_id === 'flat')!.parameters).toEqual({});
    expect(file.fits.find((own) => own.group.run_id === 'good')!.verdict).toBe('ok');
  });

  it('a law that cannot follow the data is not a fit', async () => {
    const { file } = await runFit(csv(rows(12)), { laws: ['logspace-power', 'convergent-power'] });
    expect(file.fits[0]!.verdict).toBe('not-converged');
    expect(file.fits[0]!.reasons.join()).toContain('cannot follow');
  });

  it('repeated x is noted with its lines', async () => {
    const { file } = await runFit(csv([...rows(10), rows(10)[3]!]));
    expect(file.fits[0]!.reasons.join()).toContain('lines 5 and 12');
  });

  it('refuses an unknown law and lists the known', async () => {
    const error = await failure(runFit(csv(rows(8)), { laws: ['cubic'] }));
    expect(error.exitStatus).toBe(2);
    expect(error.suggestions.join()).toContain('joint-convergent-power');
  });
});

describe('bootstrap', () => {
  it('gives the same numbers for the same seed, others for another, and brackets the estimate', async () => {
    const path = csv(rows(20));
    const run = async (seed: number) =>
      (await runFit(path, { fit: { bootstrap: { replicates: 60, seed, scheme: 'residual' } } })).file
        .fits[0]!;
    const [a, b, c] = [await run(1), await run(1), await run(2)];
    expect(a.bootstrap).toEqual(b.bootstrap);
    expect(a.bootstrap).not.toEqual(c.bootstrap);
    const [low, high] = a.bootstrap!.limit!.interval;
    expect(low).toBeLessThan(a.limit!.estimate);
    expect(high).toBeGreaterThan(a.limit!.estimate);
    const ratio = a.bootstrap!.parameters.alpha!.standardError / a.parameters.alpha!.standardError!;
    expect(ratio).toBeGreaterThan(0.6);
    expect(ratio).toBeLessThan(1.6);
  });

  it('resamples whole runs where a group pools several', async () => {
    const lines = ['a', 'b', 'c'].flatMap((run, r) =>
      rows(10, 0.4 + 0.002 * r).map((row) => `${row},${run}`),
    );
    const path = table(`tokens,activation_ratio,run_id\n${lines.join('\n')}\n`);
    const { file } = await runFit(path, {
      group: [],
      cluster: ['run_id'],
      fit: { bootstrap: { replicates: 60, seed: 0, scheme: 'cluster' } },
    });
    const [low, high] = file.fits[0]!.bootstrap!.limit!.interval;
    // The runs' limits differ by 0.004: that spread must show, the residuals' alone would not give it.
    expect(high - low).toBeGreaterThan(0.0015);
    expect(Object.keys(file.fits[0]!.clusterSigmas)).toEqual(['a', 'b', 'c']);
  });
});

describe('predict', () => {
  it('gives intervals, says when it extrapolates, refuses values below zero', async () => {
    const { file } = await runFit(csv(rows(20)));
    const [inside, beyond] = predict(file, { at: [1e10, 1e12] });
    expect(inside!.range).toBe('inside');
    expect(inside!.interval![0]).toBeLessThan(inside!.value);
    expect(Math.abs(inside!.value - (0.4 - 0.1 * 10 ** -0.5))).toBeLessThan(2e-4);
    expect(beyond!.range).toBe('above');
    expect(beyond!.notes.join()).toContain('outside the fitted range');
    expect(() => predict(file, { at: [1e7] })).toThrow(/crosses 0/);
    expect(() => predict(file, { at: [1e10], group: ['run_id=none'] })).toThrow(/no fit belongs/);
  });

  it('covers new points at about its level', async () => {
    const { file } = await runFit(csv(rows(40)));
    const at = Array.from({ length: 30 }, (_, i) => (2 + 2 * i) * 1e9);
    const covered = predict(file, { at }).filter(({ interval, at: x }, i) => {
      const y = 0.4 - 0.1 * (x / 1e9) ** -0.5 + wobble(1000 + i);
      return y >= interval![0] && y <= interval![1];
    });
    expect(covered.length).toBeGreaterThanOrEqual(26);
  });
});

describe('limits against scale', () => {
  it('fits a fit.json, one row a group, with a number for the dependence', async () => {
    const sizes = [1e8, 2e8, 4e8, 8e8, 1.6e9];
    const lines = sizes.flatMap((size, r) =>
      rows(14, 0.41 - 0.01 * Math.log10(size / 1e8)).map((row) => `${row},run-${r},${size}`),
    );
    const first = await runFit(
      table(`tokens,activation_ratio,run_id,params_non_embedding\n${lines.join('\n')}\n`),
    );
    expect(first.file.fits[0]!.derivatives[0]).toMatchObject({ tokensPerParameter: 20, x: 2 });
    const path = join(folder, 'first.json');
    writeFileSync(path, JSON.stringify(first.file));
    const { file } = await runFit(path, { laws: ['auto'] });
    const [test] = file.scaleTests;
    expect(test!.n).toBe(5);
    expect(Math.abs(test!.slopePerDecade.estimate + 0.01)).toBeLessThan(2e-3);
    expect(test!.verdict).toBe('weak');
    expect(file.comparison[0]!.ranking.map(({ law }) => law)).toContain('power');
  });

  it('finds the bottleneck of a width-depth series with an interval', async () => {
    const ratios = [6, 14, 48, 75, 114, 165, 213, 282, 384, 597];
    const lines = ratios.map(
      (ratio, i) => `${ratio},${0.08 - 0.0001 * Math.max(0, 120 - ratio) + wobble(i + 5)}`,
    );
    const path = table(`width_depth_ratio,limit\n${lines.join('\n')}\n`);
    const { file } = await runFit(path, { laws: ['piecewise-linear'], x: 'width_depth_ratio', y: 'limit' });
    const { k } = file.fits[0]!.parameters;
    expect(Math.abs(k!.estimate - 120)).toBeLessThan(5);
    expect(k!.interval[0]).toBeLessThan(120);
    expect(k!.interval[1]).toBeGreaterThan(120);
    expect(k!.interval[1]! - k!.interval[0]!).toBeLessThan(20);
  });
});

describe('joint laws', () => {
  it('recover shared exponents over scales, with the left-out scale tested', async () => {
    const sizes = [0.1, 0.3, 1, 3];
    const lines = sizes.flatMap((size, r) =>
      Array.from({ length: 15 }, (_, i) => {
        const D = 1 + 3 * i;
        return `${D * 1e9},${0.4 - 0.005 * r - 0.1 * size ** 0.35 * D ** -0.8 + wobble(i + 20 * r)},run-${r},${size * 1e9}`;
      }),
    );
    const path = table(`tokens,activation_ratio,run_id,params_non_embedding\n${lines.join('\n')}\n`);
    const { file } = await runFit(path, { laws: ['joint-convergent-power'] });
    const [joint] = file.joint;
    expect(joint!.verdict).toBe('ok');
    expect(Math.abs(joint!.parameters.alpha!.estimate - 0.8)).toBeLessThan(0.03);
    expect(Math.abs(joint!.parameters.beta!.estimate - 0.35)).toBeLessThan(0.03);
    expect(joint!.chiSquarePerPoint).toBeLessThan(2);
    expect(joint!.parameterCount).toBe(7);
    expect(joint!.leaveOneScaleOut).toHaveLength(4);
    for (const left of joint!.leaveOneScaleOut) expect(left.rmseShape).toBeLessThan(3 * left.rmseSeparate!);
  });
});
