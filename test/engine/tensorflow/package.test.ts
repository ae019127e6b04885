import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTensorflow } from '../../../src/engine/tensorflow/index.js';
import { BINDING_SHA256, PREBUILT_BINDING } from '../../../src/engine/tensorflow/layout.js';
import { sha256 } from '../../../src/io/hash.js';

const root = join(import.meta.dirname, '../../..');
const readPackageFile = (path: string) => readFileSync(join(root, path), 'utf8');

describe('the package', () => {
  it('depends on tfjs-node-gpu optionally, and never runs its install script in a clone', () => {
    const { optionalDependencies, allowScripts } = JSON.parse(readPackageFile('package.json'));
    expect(optionalDependencies['@tensorflow/tfjs-node-gpu']).toMatch(/^\d/);
    expect(allowScripts['@tensorflow/tfjs-node-gpu']).toBe(false);
  });

  it('locks one copy of tfjs-core, shared by every tfjs package', () => {
    const { packages } = JSON.parse(readPackageFile('package-lock.json'));
    const cores = Object.keys(packages).filter((path) => path.endsWith('node_modules/@tensorflow/tfjs-core'));
    expect(cores).toEqual(['node_modules/@tensorflow/tfjs-core']);
    expect(packages['node_modules/@tensorflow/tfjs-node-gpu'].optional).toBe(true);
  });

  it('holds the binding that the code names', () => {
    expect(sha256(readFileSync(join(root, PREBUILT_BINDING)))).toBe(BINDING_SHA256);
  });
});

describe('without TensorFlow', () => {
  const saved = { ...process.env };
  let cache: string;
  beforeEach(async () => {
    cache = await mkdtemp(join(tmpdir(), 'sparselaw-tensorflow-'));
    process.env.SPARSELAW_CACHE_DIR = cache;
  });
  afterEach(async () => {
    for (const name of ['SPARSELAW_CACHE_DIR', 'SPARSELAW_TENSORFLOW']) {
      if (saved[name] === undefined) delete process.env[name];
      else process.env[name] = saved[name];
    }
    await rm(cache, { recursive: true });
  });

  it('names the command that installs it', async () => {
    await expect(openTensorflow()).rejects.toMatchObject({
      ...{ code: 'tensorflow-missing', exitStatus: 4 },
      suggestions: ['sparselaw engine install tensorflow', 'sparselaw engine install tensorflow-cuda12'],
    });
    await expect(openTensorflow({ device: 'cuda' })).rejects.toMatchObject({
      ...{ code: 'tensorflow-missing', suggestions: ['sparselaw engine install tensorflow-cuda12'] },
    });
  });

  it('refuses precisions that it does not compute in', async () => {
    for (const options of [{ precision: 'bfloat16' }, { precision: 'tf32', device: 'cpu' }] as const) {
      await expect(openTensorflow(options)).rejects.toMatchObject({
        code: 'no-such-precision',
        exitStatus: 4,
      });
    }
  });

  async function writePackage(files: Record<string, string>): Promise<void> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(cache, path)), { recursive: true });
      await writeFile(join(cache, path), text);
    }
    process.env.SPARSELAW_TENSORFLOW = join(cache, 'own');
  }
  const description = '{"name":"@tensorflow/tfjs-node-gpu","version":"4.22.0"}';

  it('says what is wrong with a package of the user’s', async () => {
    process.env.SPARSELAW_TENSORFLOW = cache;
    await expect(openTensorflow()).rejects.toMatchObject({
      message: expect.stringContaining('holds no package.json'),
    });
    await writePackage({ 'own/package.json': description });
    await expect(openTensorflow()).rejects.toMatchObject({
      message: expect.stringContaining('has no native parts'),
    });
    await writePackage({
      'own/package.json': description,
      'own/deps/lib/libtensorflow.so': '',
      'own/lib/napi-v8/tfjs_binding.node': 'no library',
    });
    await expect(openTensorflow({ device: 'cpu' })).rejects.toMatchObject({
      ...{
        code: 'tensorflow-broken',
        exitStatus: 4,
        message: expect.stringMatching(/invalid ELF|too short/),
      },
    });
    await expect(openTensorflow({ device: 'cuda' })).rejects.toMatchObject({ code: 'no-such-device' });
  });
});
