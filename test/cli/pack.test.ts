import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { execute, root } from './cli.js';

let folder: string;
let bin: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-pack-'));
  const packed = await execute('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
  });
  expect(packed.status, packed.stderr).toBe(0);
  const archive = (await readdir(folder)).find((name) => name.endsWith('.tgz'))!;
  await writeFile(join(folder, 'package.json'), '{ "name": "elsewhere", "private": true }');
  // Nothing that sparselaw needs has an install script; an optional dependency's would download hundreds of MB.
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
  const installed = await execute('npm', ['install', ...flags, archive], { cwd: folder });
  expect(installed.status, installed.stderr).toBe(0);

  bin = join(folder, 'node_modules/.bin/sparselaw');
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

it('packs into a package that installs elsewhere', async () => {
  const version = await execute(bin, ['--version'], { cwd: folder });
  expect(version.stdout).toMatch(/^sparselaw\/\d+\.\d+\.\d+/);
});

it('runs the demo, text to report, on wasm where pip is hidden, says so, and goes on where it stopped', async () => {
  // A PATH that holds node alone: no python3, no pip; and an empty cache, so no plugin either.
  const path = join(folder, 'path');
  await mkdir(path);
  await symlink(process.execPath, join(path, 'node'));
  const env = { PATH: path, SPARSELAW_CACHE_DIR: join(folder, 'cache'), SPARSELAW_PJRT_PLUGIN: '' };
  const demo = (...more: string[]) =>
    execute(bin, ['demo', '--out', 'demo', '--preset', 'tiny', ...more], { cwd: folder, env });

  const first = await demo('--json');
  expect(first.stderr).toMatch(/No XLA plugin/);
  expect(first.status).toBe(0);
  const { report, table, fits, engine } = JSON.parse(first.stdout);
  expect(engine).toBe('wasm');
  const html = await readFile(join(folder, report), 'utf8');
  expect(html).toMatch(/^<!doctype html>/i);
  const [header, ...rows] = (await readFile(join(folder, table), 'utf8')).trim().split('\n');
  expect(header).toContain('activation_ratio');
  // Two models × checkpoints × two metrics.
  expect(rows.length).toBeGreaterThanOrEqual(2 * 6 * 2);
  const verdicts = await Promise.all(
    fits.map(async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8')).fits[0].verdict),
  );
  expect(verdicts).toHaveLength(3);

  const second = await demo();
  expect(second.status).toBe(0);
  expect(second.stderr.match(/already there/g)?.length).toBe(10);
  // What the terminal says of a law is what the page says of it.
  const [, shown] = /; the report shows: .*, (.*)$/m.exec(second.stdout)!;
  expect(html).toContain(`>${shown}</span>`);
}, 300_000);
