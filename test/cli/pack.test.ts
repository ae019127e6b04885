import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { execute, root } from './cli.js';

it('packs into a package that installs and runs elsewhere', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sparselaw-pack-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
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

  const bin = join(folder, 'node_modules/.bin/sparselaw');
  const version = await execute(bin, ['--version'], { cwd: folder });
  expect(version.stdout).toMatch(/^sparselaw\/\d+\.\d+\.\d+/);
  const demo = await execute(bin, ['demo', '--engine', 'wasm', '--preset', 'tiny', '--out', 'd', '--json'], {
    cwd: folder,
  });
  expect(demo.status, demo.stderr).toBe(0);
  expect(await readdir(join(folder, 'd'))).toContain('report.html');
}, 300_000);
