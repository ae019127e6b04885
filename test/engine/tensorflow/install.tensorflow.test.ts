import {
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installPlugin } from '../../../src/engine/install/index.js';
import { pluginFolder, recipeOf } from '../../../src/engine/install/store.js';
import { BINDING } from '../../../src/engine/tensorflow/layout.js';
import { runCommand } from '../xla/pjrt/child.js';

/** The TensorFlow that the run of these tests has installed. */
let source: string;
let folder: string;
beforeAll(async () => {
  await installPlugin('tensorflow');
  source = pluginFolder(recipeOf('tensorflow'));
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-install-tensorflow-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A cache of its own with the installed tree in it; the large libraries are links. */
async function cacheWithTensorflow(name: string): Promise<{ cache: string; tree: string }> {
  const cache = join(folder, name);
  const tree = source.replace(dirname(dirname(source)), cache);
  await mkdir(dirname(tree), { recursive: true });
  await cp(source, tree, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.endsWith('.so.2'),
  });
  for (const library of recipeOf('tensorflow').libraries) {
    await symlink(join(source, library), join(tree, library));
  }
  return { cache, tree };
}

const json = ({ stdout }: { stdout: string }) => JSON.parse(stdout);

describe('an installed tensorflow', () => {
  it('holds nothing but its parts, and no second tfjs-core', async () => {
    // Beside them what was noted when its library was last hashed.
    const parts = (await readdir(source)).filter((name) => name !== 'verified.json');
    expect(parts.sort()).toEqual(['deps', 'lib', 'node_modules', 'plugin.json', 'tensorflow']);
    expect((await readdir(join(source, 'node_modules', '@tensorflow'))).sort()).toEqual([
      ...['tfjs', 'tfjs-core', 'tfjs-node-gpu'],
    ]);
    const core = join(source, 'node_modules/@tensorflow/tfjs-core');
    expect((await readdir(core)).sort()).toEqual(['index.js', 'package.json']);
    expect((await stat(join(core, 'index.js'))).size).toBeLessThan(1000);
    expect((await lstat(join(source, 'deps/lib'))).isSymbolicLink()).toBe(true);
  });

  it('is listed, checked, measured, kept by a second install, and removed', async () => {
    const { cache } = await cacheWithTensorflow('served');
    const env = { SPARSELAW_CACHE_DIR: cache, SPARSELAW_TENSORFLOW: '' };
    const listed = json(await runCommand(['engine', 'list', '--json'], env)).engines;
    expect(listed.find(({ name }: { name: string }) => name === 'tensorflow')).toMatchObject({
      ...{ status: 'ready', engine: 'tensorflow', device: 'cpu', version: '2.21.0' },
    });
    const bench = await runCommand(
      ['engine', 'bench', '--engine', 'tensorflow', '--device', 'cpu', '--json'],
      env,
    );
    expect(bench).toMatchObject({ status: 0, stderr: '' });
    expect(json(bench).engines[0]).toMatchObject({
      ...{ name: 'tensorflow', versions: { tensorflow: '2.21.0', 'tfjs-node-gpu': '4.22.0' } },
    });
    expect(json(bench).engines[0].matmulGflops).toBeGreaterThan(1);
    const checks = json(await runCommand(['doctor', '--json'], env)).checks;
    expect(checks.find(({ name }: { name: string }) => name === 'engine tensorflow')).toMatchObject({
      status: 'ok',
      found: expect.stringContaining('tensorflow 2.21.0'),
    });
    // No pip and no npm: nothing is downloaded again.
    const again = await runCommand(['engine', 'install', 'tensorflow', '--json'], { ...env, PATH: '' });
    expect(again.status).toBe(0);
    const cuda = await runCommand(
      ['engine', 'bench', '--engine', 'tensorflow', '--device', 'cuda', '--json'],
      env,
    );
    expect(cuda.status).toBe(4);
    expect(json(cuda).error.suggestions).toEqual(['sparselaw engine install tensorflow-cuda12']);
    expect((await runCommand(['engine', 'remove', 'tensorflow'], env)).stdout).toBe(
      'tensorflow was removed.\n',
    );
    expect(await readdir(join(cache, 'plugins'))).toEqual([]);
  });

  it.each([
    ['another binding', async (tree: string) => writeFile(join(tree, BINDING), 'another')],
    [
      'a library cut short',
      async (tree: string) => {
        const library = join(tree, recipeOf('tensorflow').libraries[0]!);
        await rm(library);
        await writeFile(library, 'short');
      },
    ],
  ])('is refused with %s', async (name, damage) => {
    const { cache, tree } = await cacheWithTensorflow(name);
    await damage(tree);
    const env = { SPARSELAW_CACHE_DIR: cache };
    const bench = await runCommand(['engine', 'bench', '--engine', 'tensorflow', '--json'], env);
    expect(bench.status).toBe(4);
    expect(json(bench).error).toMatchObject({
      code: 'plugin-damaged',
      suggestions: ['sparselaw engine remove tensorflow', 'sparselaw engine install tensorflow'],
    });
  });
});

describe('a tfjs-node package of the user’s', () => {
  /** What a normal install leaves, with this TensorFlow as its library; `core` is what it resolves tfjs-core to. */
  async function ownPackage(name: string, core: string): Promise<string> {
    const modules = join(folder, name, 'node_modules');
    const own = join(modules, '@tensorflow/tfjs-node-gpu');
    await mkdir(join(own, 'lib/napi-v8'), { recursive: true });
    await cp(join(source, BINDING), join(own, 'lib/napi-v8/tfjs_binding.node'));
    await mkdir(join(own, 'deps'));
    await symlink(join(source, 'tensorflow'), join(own, 'deps/lib'));
    const js = join(source, 'node_modules/@tensorflow/tfjs-node-gpu');
    await cp(join(js, 'dist'), join(own, 'dist'), { recursive: true });
    await writeFile(
      join(own, 'package.json'),
      '{"name":"@tensorflow/tfjs-node-gpu","version":"4.22.0","main":"index.js"}',
    );
    // The package's own index.js without the parts that need the whole of tfjs.
    await writeFile(
      join(own, 'index.js'),
      `const { registerBackend } = require('@tensorflow/tfjs-core');
       const { NodeJSKernelBackend } = require('./dist/nodejs_kernel_backend.js');
       require('./dist/register_all_kernels.js');
       const binding = require('./lib/napi-v8/tfjs_binding.node');
       registerBackend('tensorflow', () => new NodeJSKernelBackend(binding, '@tensorflow/tfjs-node-gpu'));`,
    );
    await symlink(core, join(modules, '@tensorflow/tfjs-core'));
    await symlink(core, join(modules, '@tensorflow/tfjs'));
    return own;
  }
  const ours = () => dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-core/package.json'));

  it('is used as it is where nothing was installed', async () => {
    const own = await ownPackage('one-core', await realpath(ours()));
    const before = await readdir(own, { recursive: true });
    const env = { SPARSELAW_CACHE_DIR: join(folder, 'empty'), SPARSELAW_TENSORFLOW: own };
    const bench = await runCommand(
      ['engine', 'bench', '--engine', 'tensorflow', '--device', 'cpu', '--json'],
      env,
    );
    expect(bench).toMatchObject({ status: 0, stderr: '' });
    expect(json(bench).engines[0].versions).toMatchObject({
      'tfjs-node-gpu': '4.22.0',
      tensorflow: '2.21.0',
    });
    expect(await readdir(own, { recursive: true })).toEqual(before);
    const list = await runCommand(['engine', 'list'], env);
    expect(list.stdout).toContain(`@tensorflow/tfjs-node-gpu 4.22.0 in ${own}`);
  });

  it('is refused when it brings another tfjs-core', async () => {
    const copy = join(folder, 'copy-of-core');
    await cp(await realpath(ours()), copy, { recursive: true, filter: (path) => !path.endsWith('.map') });
    const own = await ownPackage('two-cores', copy);
    const env = { SPARSELAW_CACHE_DIR: join(folder, 'empty'), SPARSELAW_TENSORFLOW: own };
    const bench = await runCommand(
      ['engine', 'bench', '--engine', 'tensorflow', '--device', 'cpu', '--json'],
      env,
    );
    expect(bench.status).toBe(4);
    expect(json(bench).error).toMatchObject({
      code: 'two-tfjs-cores',
      message: expect.stringContaining(copy),
    });
  });

  it('keeps its description', async () => {
    const own = JSON.parse(
      await readFile(join(source, 'node_modules/@tensorflow/tfjs-node-gpu/package.json'), 'utf8'),
    );
    expect(own).toMatchObject({
      name: '@tensorflow/tfjs-node-gpu',
      version: '4.22.0',
      license: 'Apache-2.0',
    });
  });
});
