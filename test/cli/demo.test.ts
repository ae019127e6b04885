import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { sparselaw } from './cli.js';

it('runs from text to report on wasm where pip is hidden, says so, and goes on where it stopped', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sparselaw-demo-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  // A PATH that holds node alone: no python3, no pip; and an empty cache, so no plugin either.
  await symlink(process.execPath, join(folder, 'node'));
  const env = { PATH: folder, SPARSELAW_CACHE_DIR: join(folder, 'cache'), SPARSELAW_PJRT_PLUGIN: '' };
  const out = join(folder, 'demo');
  const args = ['demo', '--out', out, '--preset', 'tiny', '--json'];

  const first = await sparselaw(args, { env });
  expect(first.stderr).toMatch(/No XLA plugin/);
  expect(first.status).toBe(0);
  const { report, table, fits, engine } = JSON.parse(first.stdout);
  expect(engine).toBe('wasm');
  const html = await readFile(report, 'utf8');
  expect(html).toMatch(/^<!doctype html>/i);
  const [header, ...rows] = (await readFile(table, 'utf8')).trim().split('\n');
  expect(header).toContain('activation_ratio');
  // Two models × checkpoints × two metrics.
  expect(rows.length).toBeGreaterThanOrEqual(2 * 6 * 2);
  const verdicts = await Promise.all(
    fits.map(async (path: string) => JSON.parse(await readFile(path, 'utf8')).fits[0].verdict),
  );
  expect(verdicts).toHaveLength(3);

  const second = await sparselaw(args, { env });
  expect(second.status).toBe(0);
  expect(second.stderr.match(/already there/g)?.length).toBe(10);
});

it('says what is in the way of its folder, status 3', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sparselaw-demo-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const out = join(folder, 'file');
  await writeFile(out, '');
  const { status, stdout } = await sparselaw(['demo', '--out', out, '--engine', 'wasm', '--json']);
  expect(status).toBe(3);
  expect(JSON.parse(stdout).error.message).toBe(`Cannot write ${out}: something of that name is in the way.`);
});
