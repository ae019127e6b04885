import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { downloadCommand } from '../../../src/engine/install/recipe.js';
import { recipeOf } from '../../../src/engine/install/store.js';

const RECIPE = recipeOf('xla-cpu');
/** Where this machine lets us, a process without any network. */
const CUT_OFF = spawnSync('unshare', ['-rn', 'true']).status === 0 ? ['unshare', '-rn'] : ['env'];

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('a wheel fetched elsewhere', () => {
  let folder: string;
  let wheel: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparselaw-offline-'));
    await mkdir(join(folder, 'wheels'));
    // The very command that messages suggest.
    const download = spawnSync(`python3 -m ${downloadCommand(RECIPE)}`, {
      cwd: join(folder, 'wheels'),
      shell: true,
      encoding: 'utf8',
      env: { ...process.env, PIP_REQUIRE_VIRTUALENV: '0' },
    });
    expect(download.status, download.stderr).toBe(0);
    const [name] = await readdir(join(folder, 'wheels'));
    wheel = join(folder, 'wheels', name!);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Runs a command without a network, in a cache of its own; pip would find no index either. */
  function offline(cache: string, ...args: string[]) {
    const [command, ...before] = [...CUT_OFF, process.execPath, 'bin/run.js', ...args];
    const env = { ...process.env, SPARSELAW_CACHE_DIR: join(folder, cache), PIP_NO_INDEX: '1' };
    return spawnSync(command!, before, { encoding: 'utf8', env });
  }

  it.each(['file', 'folder'])('is installed offline from its %s, runs, and is removed', async (kind) => {
    const from = kind === 'file' ? wheel : join(folder, 'wheels');
    expect(offline(kind, 'engine', 'install', 'xla-cpu', '--from', from)).toMatchObject({ status: 0 });
    const bench = offline(kind, 'engine', 'bench', '--json');
    expect(bench).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(bench.stdout).engines[0].plugin).toBe('lammps-jax-pjrt-cpu 0.11.2');
    const remove = offline(kind, 'engine', 'remove', 'xla-cpu');
    expect(remove).toMatchObject({ status: 0, stdout: 'xla-cpu was removed.\n' });
    expect(await readdir(join(folder, kind, 'plugins'))).toEqual([]);
  });
});
