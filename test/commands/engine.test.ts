import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../engine/xla/pjrt/child.js';
import { withoutPlugin } from '../engine/xla/pjrt/programs.js';

describe('sparselaw engine', () => {
  let empty: string;
  beforeAll(async () => {
    empty = await mkdtemp(join(tmpdir(), 'sparselaw-engine-'));
  });
  afterAll(() => rm(empty, { recursive: true }));

  it('lists plugins that are not installed, and refuses to measure them', async () => {
    const env = { SPARSELAW_CACHE_DIR: empty, SPARSELAW_PJRT_PLUGIN: '' };
    const list = JSON.parse((await runCommand(['engine', 'list', '--json'], env)).stdout);
    expect(list.engines.map(({ name, status }: { name: string; status: string }) => [name, status])).toEqual([
      ['xla-cpu', 'not installed'],
      ['xla-cuda13', 'not installed'],
      ['xla-cuda12', 'not installed'],
      ['tensorflow', 'not installed'],
      ['tensorflow-cuda12', 'not installed'],
    ]);
    const bench = await runCommand(['engine', 'bench', '--json'], env);
    expect(bench.status).toBe(4);
    expect(JSON.parse(bench.stdout).error).toMatchObject({
      code: 'plugin-missing',
      suggestions: ['sparselaw engine install xla-cpu'],
    });
  });

  it('says how to get TensorFlow where there is none', async () => {
    const env = { SPARSELAW_CACHE_DIR: empty, SPARSELAW_TENSORFLOW: '' };
    const bench = await runCommand(['engine', 'bench', '--engine', 'tensorflow', '--json'], env);
    expect(bench.status).toBe(4);
    expect(JSON.parse(bench.stdout).error).toMatchObject({
      code: 'tensorflow-missing',
      suggestions: ['sparselaw engine install tensorflow', 'sparselaw engine install tensorflow-cuda12'],
    });
  });

  it.each([
    ['without a run', ['--tune'], 2],
    ['without being asked to', ['--config', 'run.json'], 2],
    ['for a run that is not there', ['--tune', '--config', 'no-such-run.json'], 3],
  ])('tunes no kernels %s', async (_name, flags, status) => {
    const bench = await runCommand(['engine', 'bench', ...flags]);
    expect(bench).toMatchObject({ status, stdout: '' });
  });

  it('measures an engine that runs op by op', async () => {
    const bench = await runCommand(['engine', 'bench', '--engine', 'wasm', '--json']);
    expect(bench).toMatchObject({ status: 0, stderr: '' });
    const [result] = JSON.parse(bench.stdout).engines;
    expect(result).toMatchObject({ name: 'wasm', precision: 'float32' });
    expect(result.matmulGflops).toBeGreaterThan(0.1);
    expect(result.opMicroseconds).toBeGreaterThan(0);
  });

  it('refuses a text file as a plugin with status 4', async () => {
    const bench = await runCommand(['engine', 'bench', '--json'], { SPARSELAW_PJRT_PLUGIN: 'package.json' });
    expect(bench).toMatchObject({ status: 4, signal: null });
    expect(JSON.parse(bench.stdout).error.code).toBe('plugin-unloadable');
  });

  it.skipIf(withoutPlugin)('measures the installed plugin', async () => {
    const bench = await runCommand(['engine', 'bench', '--json']);
    expect(bench).toMatchObject({ status: 0, stderr: '' });
    const [result] = JSON.parse(bench.stdout).engines;
    expect(result.matmulGflops).toBeGreaterThan(0.1);
    expect(result.cachedCompileSeconds).toBeGreaterThan(0);
    const leaves = result.host.map((each: { leaves: number }) => each.leaves);
    expect(leaves).toEqual([60, 114, 222, 438]);
    for (const { queue, thread } of result.host) expect(Math.min(queue, thread)).toBeGreaterThan(0);
    expect(result.step.milliseconds).toBeGreaterThan(0);
  });
});
