import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sparselaw } from '../cli/cli.js';
import { leftovers } from './harness.js';
import { measureArgs, prepareRun, SUBJECTS, trainArgs } from './subjects.js';

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-parallel-'));
const [alone, together] = [join(folder, 'alone'), join(folder, 'together')];
const measured = SUBJECTS.find(({ name }) => name === 'measure')!;
const run = (cwd: string, args: readonly string[]) => sparselaw([...args, '--quiet'], { cwd });
const fine = { status: 0, stderr: '' };

beforeAll(async () => {
  for (const place of [alone, together]) await prepareRun(place);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('at the same time', () => {
  it('ten `measure` on one run leave what one leaves', async () => {
    expect(await run(alone, measureArgs('relu'))).toMatchObject(fine);
    const ten = await Promise.all(Array.from({ length: 10 }, () => run(together, measureArgs('relu'))));
    for (const outcome of ten) expect(outcome).toMatchObject(fine);
    expect(await measured.result(together)).toEqual(await measured.result(alone));
    expect(leftovers(together)).toEqual([]);
  });

  it('two `table` into one file leave one whole table', async () => {
    const args = ['table', 'relu', '--out', 'table.csv'];
    expect(await run(alone, args)).toMatchObject(fine);
    for (const outcome of await Promise.all([run(together, args), run(together, args)]))
      expect(outcome).toMatchObject(fine);
    const rows = (place: string) => readFileSync(join(place, 'table.csv'), 'utf8').split('\n').length;
    expect(rows(together)).toBe(rows(alone));
    expect(leftovers(together)).toEqual([]);
  });

  it('readers of a run that is being trained see whole checkpoints only', async () => {
    let writing = true;
    const args = trainArgs('live', ['--activation', 'silu']);
    args[args.indexOf('--tokens') + 1] = '32000';
    args[args.indexOf('--checkpoints') + 1] = 'every:1600';
    const writer = run(together, args).finally(() => {
      writing = false;
    });
    let looks = 0;
    while (writing) {
      const { status, stdout, stderr } = await run(together, ['checkpoint', 'list', 'live', '--json']);
      const isThere = status === 0 && JSON.parse(stdout).checkpoints.length > 0;
      if (!isThere) {
        // The run is not there yet, or has no checkpoint.
        expect([0, 3], stderr).toContain(status);
        continue;
      }
      const verified = await run(together, ['checkpoint', 'verify', 'live']);
      expect(verified.status, verified.stderr).toBe(0);
      looks++;
    }
    expect(await writer).toMatchObject(fine);
    expect(looks).toBeGreaterThan(0);
  });
});
