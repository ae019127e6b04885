import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheFolder } from '../../../src/engine/install/cache-folder.js';
import {
  findPlugin,
  forgetVerified,
  installPlugin,
  removePlugin,
} from '../../../src/engine/install/index.js';
import { requirementsOf, wheelNameOf } from '../../../src/engine/install/recipe.js';
import { PLUGIN_NAMES, RECIPES } from '../../../src/engine/install/recipes.js';
import { pluginFolder, readInstalled, recipeOf, verifyInstalled } from '../../../src/engine/install/store.js';
import type { SparselawError } from '../../../src/errors.js';
import { runCommand } from '../xla/pjrt/child.js';
import { withoutPlugin } from '../xla/pjrt/programs.js';

const onThisMachine = process.platform === 'linux' && process.arch === 'x64';
const saved = { ...process.env };
let cache: string;

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'sparselaw-install-'));
  process.env.SPARSELAW_CACHE_DIR = cache;
  delete process.env.SPARSELAW_PJRT_PLUGIN;
});
afterEach(async () => {
  process.env.SPARSELAW_CACHE_DIR = saved.SPARSELAW_CACHE_DIR;
  if (saved.SPARSELAW_CACHE_DIR === undefined) delete process.env.SPARSELAW_CACHE_DIR;
  process.env.PATH = saved.PATH;
  if (saved.SPARSELAW_PJRT_PLUGIN) process.env.SPARSELAW_PJRT_PLUGIN = saved.SPARSELAW_PJRT_PLUGIN;
  else delete process.env.SPARSELAW_PJRT_PLUGIN;
  await rm(cache, { recursive: true, force: true });
});

async function failure(action: Promise<unknown>): Promise<SparselawError> {
  return action.then(
    () => {
      throw new Error('nothing was thrown');
    },
    (error) => error as SparselawError,
  );
}

/** Everything below the cache, to see that nothing is left. */
const leftovers = async () =>
  (await readdir(cache, { recursive: true })).filter((name) => name !== 'plugins');

describe('recipes', () => {
  it('pin every wheel by version and SHA-256', () => {
    for (const recipe of RECIPES) {
      for (const line of requirementsOf(recipe).trimEnd().split('\n')) {
        expect(line).toMatch(/^[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}$/);
      }
      expect(recipe.librarySha256).toMatch(/^[0-9a-f]{64}$/);
    }
    expect(new Set(PLUGIN_NAMES).size).toBe(PLUGIN_NAMES.length);
  });

  it('name the wheel as the index does', () => {
    expect(wheelNameOf(recipeOf('xla-cpu'))).toBe(
      'lammps_jax_pjrt_cpu-0.11.2-py3-none-manylinux_2_27_x86_64.whl',
    );
    expect(wheelNameOf(recipeOf('tensorflow'))).toBe(
      'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl',
    );
  });
});

describe('cacheFolder', () => {
  it('takes SPARSELAW_CACHE_DIR, XDG_CACHE_HOME, ~/.cache in this order', () => {
    expect(cacheFolder({ SPARSELAW_CACHE_DIR: '/a', XDG_CACHE_HOME: '/b', HOME: '/c' })).toBe('/a');
    expect(cacheFolder({ XDG_CACHE_HOME: '/b', HOME: '/c' })).toBe('/b/sparselaw');
    expect(cacheFolder({ SPARSELAW_CACHE_DIR: '', HOME: '/c' })).toBe('/c/.cache/sparselaw');
  });
});

describe('without a plugin', () => {
  it('names the command that installs one', async () => {
    const error = await failure(findPlugin('cpu'));
    expect(error).toMatchObject({
      code: 'plugin-missing',
      exitStatus: 4,
      suggestions: ['sparselaw engine install xla-cpu'],
    });
  });

  it('refuses a name in SPARSELAW_PJRT_PLUGIN that is no file', async () => {
    process.env.SPARSELAW_PJRT_PLUGIN = join(cache, 'missing.so');
    expect(await failure(findPlugin('cpu'))).toMatchObject({ code: 'plugin-missing', exitStatus: 4 });
  });

  it('refuses unknown names', async () => {
    expect(await failure(installPlugin('xla-abacus'))).toMatchObject({
      code: 'unknown-plugin',
      exitStatus: 2,
    });
    expect(await removePlugin('xla-cpu')).toBe(false);
  });
});

describe.skipIf(!onThisMachine)('installing', () => {
  it('refuses a wheel with another hash and leaves nothing', async () => {
    const wheel = join(cache, 'other.whl');
    await writeFile(wheel, 'not the wheel');
    const error = await failure(installPlugin('xla-cpu', { from: wheel }));
    expect(error).toMatchObject({ code: 'hash-mismatch', exitStatus: 4 });
    expect(error.message).toContain(recipeOf('xla-cpu').wheels[0].sha256);
    expect(await leftovers()).toEqual(['other.whl']);
    expect(await failure(installPlugin('xla-cpu', { from: join(cache, 'no.whl') }))).toMatchObject({
      code: 'wheel-missing',
      exitStatus: 4,
    });
  });

  it('says what to do without python3', async () => {
    process.env.PATH = cache;
    const error = await failure(installPlugin('xla-cpu'));
    expect(error).toMatchObject({ code: 'pip-missing', exitStatus: 4 });
    expect(error.suggestions.join(' ')).toContain('--from FILE');
    expect(await leftovers()).toEqual([]);
  });

  /** Stands in for python3: a script of our own on the PATH. */
  async function fakePython(script: string): Promise<void> {
    const bin = join(cache, 'bin');
    await mkdir(bin);
    await writeFile(join(bin, 'python3'), `#!/bin/sh\n${script}\n`);
    await chmod(join(bin, 'python3'), 0o755);
    process.env.PATH = `${bin}:${saved.PATH}`;
  }

  it.each([
    ['pip-missing', 'echo "python3: No module named pip" >&2; exit 1'],
    [
      'hash-mismatch',
      'echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE" >&2; exit 1',
    ],
    ['pip-failed', 'echo "ERROR: No matching distribution found for it" >&2; exit 1'],
  ])('turns pip’s failure into %s', async (code, script) => {
    await fakePython(script);
    expect(await failure(installPlugin('xla-cpu'))).toMatchObject({ code, exitStatus: 4 });
    expect((await readdir(join(cache, 'plugins'))).length).toBe(0);
  });

  it('asks pip for exactly the pinned wheel, whatever virtual environment is required', async () => {
    await fakePython(
      `echo "$@" > ${cache}/args; echo "$PIP_REQUIRE_VIRTUALENV" >> ${cache}/args
       for last; do :; done; cat "$last" >> ${cache}/args; exit 1`,
    );
    await failure(installPlugin('xla-cpu'));
    const args = await readFile(join(cache, 'args'), 'utf8');
    expect(args).toMatch(
      /^-m pip download --dest \S+ --require-hashes --no-deps --only-binary=:all: --platform manylinux_2_27_x86_64 /,
    );
    expect(args.split('\n').slice(1, 3)).toEqual(['0', requirementsOf(recipeOf('xla-cpu')).trimEnd()]);
  });

  it('refuses a wheel that is not the pinned one, though pip was content', async () => {
    await fakePython('while [ "$1" != --dest ]; do shift; done; echo evil > "$2/xla.whl"');
    expect(await failure(installPlugin('xla-cpu'))).toMatchObject({ code: 'hash-mismatch', exitStatus: 4 });
    expect(await readdir(join(cache, 'plugins'))).toEqual([]);
  });

  it('asks npm for the archive before pip for the gigabytes', async () => {
    await fakePython(`echo called > ${cache}/python`);
    await writeFile(join(cache, 'bin', 'npm'), `#!/bin/sh\necho "$@" > ${cache}/npm-args; exit 1\n`);
    await chmod(join(cache, 'bin', 'npm'), 0o755);
    expect(await failure(installPlugin('tensorflow'))).toMatchObject({ code: 'npm-failed', exitStatus: 4 });
    expect(await readFile(join(cache, 'npm-args'), 'utf8')).toMatch(
      /^pack @tensorflow\/tfjs-node-gpu@4\.22\.0 .*--ignore-scripts/,
    );
    expect(await readdir(cache)).not.toContain('python');
    expect(await readdir(join(cache, 'plugins'))).toEqual([]);
  });

  it('says what to do without npm', async () => {
    process.env.PATH = cache;
    const error = await failure(installPlugin('tensorflow'));
    expect(error).toMatchObject({ code: 'npm-missing', exitStatus: 4 });
    expect(error.suggestions.join(' ')).toContain('npm pack @tensorflow/tfjs-node-gpu@4.22.0');
    expect(await readdir(join(cache, 'plugins'))).toEqual([]);
  });

  it('ends with status 6 when interrupted, and leaves nothing', async () => {
    // Longer than the test may take.
    await fakePython('exec sleep 600');
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 200);
    expect(await failure(installPlugin('xla-cpu', { signal: abort.signal }))).toMatchObject({
      exitStatus: 6,
    });
    expect(await readdir(join(cache, 'plugins'))).toEqual([]);
  });

  it('names the variable when the cache cannot be written', async () => {
    const file = join(cache, 'file');
    await writeFile(file, '');
    process.env.SPARSELAW_CACHE_DIR = join(file, 'below');
    const error = await failure(installPlugin('xla-cpu'));
    expect(error).toMatchObject({ code: 'cache-unwritable', exitStatus: 4 });
    expect(error.suggestions.join(' ')).toContain('SPARSELAW_CACHE_DIR');
  });
});

describe.skipIf(!onThisMachine || withoutPlugin)('an installed plugin', () => {
  /** A copy of the plugin that the test run has installed: links for the library, which is large. */
  async function copyInstalled({ link = true } = {}): Promise<string> {
    process.env.SPARSELAW_CACHE_DIR = saved.SPARSELAW_CACHE_DIR;
    if (saved.SPARSELAW_CACHE_DIR === undefined) delete process.env.SPARSELAW_CACHE_DIR;
    const source = pluginFolder(recipeOf('xla-cpu'));
    process.env.SPARSELAW_CACHE_DIR = cache;
    const target = pluginFolder(recipeOf('xla-cpu'));
    const library = recipeOf('xla-cpu').library;
    await mkdir(dirname(join(target, library)), { recursive: true });
    await cp(join(source, 'plugin.json'), join(target, 'plugin.json'));
    if (link) await symlink(join(source, library), join(target, library));
    else await writeFile(join(target, library), 'another library');
    return target;
  }

  it('is found, listed, kept by a second install, and removed', async () => {
    const folder = await copyInstalled();
    expect(await findPlugin('cpu')).toMatchObject({
      name: 'xla-cpu',
      package: 'lammps-jax-pjrt-cpu',
      version: '0.11.2',
      device: 'cpu',
      path: join(folder, recipeOf('xla-cpu').library),
    });
    process.env.PATH = cache; // No python3: nothing is downloaded again.
    expect(await installPlugin('xla-cpu')).toMatchObject({ version: '0.11.2' });
    expect(await removePlugin('xla-cpu')).toBe(true);
    expect(await failure(findPlugin('cpu'))).toMatchObject({ code: 'plugin-missing' });
  });

  it('is refused when its bytes have changed', async () => {
    await copyInstalled({ link: false });
    const error = await failure(findPlugin('cpu'));
    expect(error).toMatchObject({ code: 'plugin-damaged', exitStatus: 4 });
    expect(error.suggestions).toEqual([
      'sparselaw engine remove xla-cpu',
      'sparselaw engine install xla-cpu',
    ]);
  });

  it('is hashed once for all commands, and again when its file has changed or somebody asks', async () => {
    const folder = await copyInstalled();
    const recipe = recipeOf('xla-cpu');
    const library = join(folder, recipe.library);
    const look = async () => verifyInstalled(recipe, (await readInstalled(recipe))!);
    // What a process remembers is forgotten, what is written down is not.
    const inAnotherProcess = async () => {
      const record = await readFile(join(folder, 'verified.json'), 'utf8');
      await forgetVerified();
      await writeFile(join(folder, 'verified.json'), record);
      return look();
    };
    await look();
    await inAnotherProcess();

    // The record speaks of one file: the same words and times in another do not pass.
    const { atime, mtime } = await stat(library);
    await rm(library);
    await writeFile(library, 'another library');
    await utimes(library, atime, mtime);
    expect(await failure(inAnotherProcess())).toMatchObject({ code: 'plugin-damaged' });

    // A record that fits is believed, until all are forgotten.
    const { ino, size, mtimeNs, ctimeNs } = await stat(library, { bigint: true });
    const file = [ino, size, mtimeNs, ctimeNs].join(' ');
    const record = { schemaVersion: 1, sha256: recipe.librarySha256, file };
    await writeFile(join(folder, 'verified.json'), JSON.stringify(record));
    await look();
    await forgetVerified();
    expect(await failure(look())).toMatchObject({ code: 'plugin-damaged' });
  });

  it('is refused when its description is damaged', async () => {
    const folder = await copyInstalled();
    await writeFile(join(folder, 'plugin.json'), '{"schemaVersion": 1');
    expect(await failure(findPlugin('cpu'))).toMatchObject({ code: 'plugin-damaged', exitStatus: 4 });
  });

  it('may be named by path', async () => {
    const folder = await copyInstalled();
    process.env.SPARSELAW_PJRT_PLUGIN = join(folder, recipeOf('xla-cpu').library);
    expect(await findPlugin('cpu')).toMatchObject({
      name: 'custom',
      sha256: recipeOf('xla-cpu').librarySha256,
      package: `lammps_jax_pjrt_cpu/${basename(recipeOf('xla-cpu').library)}`,
    });
  });

  it('is served by the commands', async () => {
    await copyInstalled();
    const list = await runCommand(['engine', 'list', '--json']);
    expect(JSON.parse(list.stdout).engines[0]).toMatchObject({ name: 'xla-cpu', status: 'ready' });
    const remove = await runCommand(['engine', 'remove', 'xla-cpu']);
    expect(remove).toMatchObject({ status: 0, stdout: 'xla-cpu was removed.\n' });
    const install = await runCommand(['engine', 'install', 'xla-cpu', '--json'], {
      PATH: dirname(process.execPath) === '/usr/bin' ? cache : dirname(process.execPath),
      PIP_NO_INDEX: '1',
      PIP_FIND_LINKS: cache,
    });
    expect(install.status).toBe(4);
    expect(JSON.parse(install.stdout).error.code).toMatch(/^pip-(missing|failed)$/);
  });
});
