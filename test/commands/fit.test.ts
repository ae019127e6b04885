import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { fitFileSchema } from '../../src/files/fit.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const points = join(root, 'fixtures/sparsing-law/activation_vs_tokens.csv');
const folder = mkdtempSync(join(tmpdir(), 'sparselaw-fit-command-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Result {
  status: number;
  stdout: string;
  stderr: string;
}

const run = (...args: string[]): Promise<Result> =>
  new Promise((resolve) => {
    const options = { cwd: folder, env: { ...process.env, NO_COLOR: '1' }, maxBuffer: 64e6 };
    execFile(process.execPath, [join(root, 'bin/run.js'), ...args], options, (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });

const one = ['--group', 'scale,activation', '--where', 'activation=silu', '--where', 'scale=0.2B'];

// The commands run from the compiled package.
describe.skipIf(!existsSync(join(root, 'dist/commands/fit.js')))('fit and predict', () => {
  it('fit writes fit.json, prints a table and draws a curve; predict reads it', async () => {
    const fitted = await run(
      'fit',
      points,
      ...one,
      '--law',
      'convergent-power',
      '--plot',
      '--out',
      'fit.json',
    );
    expect(fitted.status).toBe(0);
    expect(fitted.stdout).toContain('A = A0 - c*x^(-alpha)');
    expect(fitted.stdout).toMatch(/limit\s+0\.3934/);
    expect(Math.max(...fitted.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(fitted.stdout).not.toContain('\u001b[');
    const file = fitFileSchema.parse(JSON.parse(readFileSync(join(folder, 'fit.json'), 'utf8')));
    expect(file.fits).toHaveLength(1);
    expect(file.xUnit).toBe(1e9);

    const predicted = await run('predict', 'fit.json', '--at', '50B,1T', '--json');
    expect(predicted.status).toBe(0);
    const { predictions } = JSON.parse(predicted.stdout);
    expect(predictions.map((own: { range: string }) => own.range)).toEqual(['inside', 'above']);
    expect((await run('predict', 'fit.json', '--at', '1000')).status).toBe(2);
    expect((await run('predict', 'nowhere.json', '--at', '1B')).status).toBe(3);
  });

  it('predict says of a value that no share can have', async () => {
    await run('fit', points, ...one, '--law', 'linear', '--out', 'linear.json');
    const notes = async (at: string) =>
      JSON.parse(
        (await run('predict', 'linear.json', '--at', at, '--json')).stdout,
      ).predictions[0].notes.join();
    expect(await notes('100T')).toMatch(/is no activation_ratio, which lies between 0 and 1/);
    expect(await notes('50B')).not.toMatch(/is no activation_ratio/);
  });

  it('threads give the same numbers as one', async () => {
    const bootstrap = ['--law', 'convergent-power', '--bootstrap', '500', '--json', '-q'];
    const [alone, together] = await Promise.all([
      run('fit', points, ...one, ...bootstrap, '--threads', '1'),
      run('fit', points, ...one, ...bootstrap, '--threads', '3'),
    ]);
    expect(alone.status).toBe(0);
    expect(JSON.parse(together.stdout)).toEqual(JSON.parse(alone.stdout));
  });

  it('ends with the status of the failure, under --json with one object', async () => {
    writeFileSync(join(folder, 'short.csv'), 'tokens,activation_ratio\n1e9,0.1\n2e9,0.09\n3e9,0.08\n');
    writeFileSync(join(folder, 'bad.csv'), 'tokens,activation_ratio\n1e9,0.1\n2e9,many\n');
    expect((await run('fit', 'short.csv', '--law', 'logspace-power')).status).toBe(5);
    const bad = await run('fit', 'bad.csv', '--json');
    expect(bad.status).toBe(3);
    expect(JSON.parse(bad.stdout).error.message).toContain('line 3, column "activation_ratio"');
    expect((await run('fit', points, '--law', 'cubic')).status).toBe(2);
    expect((await run('fit', points, '--law', 'auto,linear')).status).toBe(2);
  });
});
