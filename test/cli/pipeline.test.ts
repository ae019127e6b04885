import { cp, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { execute, program, root } from './cli.js';

it('builds a study with make -j2 and repeats only what is stale', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sparselaw-make-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await cp(join(root, 'fixtures/pipeline/Makefile'), join(folder, 'Makefile'));
  const text = await readFile(join(root, 'fixtures/tinybooks.valid.txt'), 'utf8');
  await writeFile(join(folder, 'text.txt'), text.slice(0, 60_000));
  const settings = [
    `SPARSELAW=${process.execPath} ${program}`,
    'TRAIN=--engine cpu --layers 1 --width 8 --ff 12 --heads 2 --seq-len 8 --batch-tokens 32 --tokens 960 --checkpoints every:160 --validation-tokens 64',
    'MEASURE=--engine cpu --metric zero --tokens 64',
  ];
  const make = (...extra: string[]) => execute('make', ['-j2', ...settings, ...extra], { cwd: folder });

  const first = await make();
  expect(first.stderr).not.toMatch(/\*\*\*/);
  expect(first.status).toBe(0);
  const report = join(folder, 'study/report.html');
  const made = (await stat(report)).mtimeMs;

  expect((await make('-q')).status).toBe(0);

  // A newer table makes fit and report stale, nothing before them.
  const soon = new Date(Date.now() + 2000);
  await utimes(join(folder, 'study/table.csv'), soon, soon);
  const dry = await make('-n');
  expect(dry.stdout).toMatch(/ fit /);
  expect(dry.stdout).not.toMatch(/ train | measure /);
  expect((await make()).status).toBe(0);
  expect((await stat(report)).mtimeMs).toBeGreaterThan(made);
});
