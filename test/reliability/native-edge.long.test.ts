import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, sparselaw } from '../cli/cli.js';
import { runScript } from '../engine/xla/pjrt/child.js';
import { withoutPlugin } from '../engine/xla/pjrt/programs.js';
import { writeTinyCorpus } from '../training/corpus.js';
import { trainArgs } from './subjects.js';

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-edge-'));
afterAll(() => rmSync(folder, { recursive: true }));
const compile = (...args: string[]): boolean =>
  spawnSync('cc', ['-w', '-shared', '-fPIC', ...args]).status === 0;
const wrong = join(folder, 'wrong.so');
const built = compile('-o', wrong, join(root, 'test/engine/xla/pjrt/fake-plugin.c'));
if (!built) console.warn('Left out: the fake plugins need a C compiler (cc).');

beforeAll(async () => {
  await writeTinyCorpus(join(folder, 'corpus'));
});

/** Trains with a plugin named by its path: it must refuse with status 4, in one line, and leave no run. */
async function refused(pluginPath: string, env: NodeJS.ProcessEnv = {}) {
  const args = trainArgs('run', ['--activation', 'relu', '--device', 'cpu', '--json']);
  args[args.indexOf('--engine') + 1] = 'xla';
  const { status, stdout, stderr } = await sparselaw([...args, '--quiet'], {
    cwd: folder,
    env: { SPARSELAW_PJRT_PLUGIN: pluginPath, ...env },
  });
  expect(status, stdout + stderr).toBe(4);
  expect(existsSync(join(folder, 'run/config.json'))).toBe(false);
  const { error } = JSON.parse(stdout);
  expect(error.suggestions.length).toBeGreaterThan(0);
  expect(error.message).not.toContain('\n');
  return error as { code: string; message: string; suggestions: string[] };
}

describe.skipIf(!built)('a plugin that cannot be used ends `train` with status 4', () => {
  it.each([
    ['nothing', /GetPjrtApi returned nothing/],
    ['small', /declares a size of 8 bytes/],
    ['huge', /declares a size of 18446744073709551615 bytes/],
    ['major', /speaks PJRT 1\.112/],
    ['old', /speaks PJRT 0\.3/],
    ['short', /its table of 12 functions lacks/],
    ['hole', /lacks PJRT_Client_Create/],
    ['fails', /the driver is older than the plugin/],
    // Newer than known and without a device: its handles are empty.
    ['newer', /with 0 devices/],
  ])('%s', async (how, message) => {
    const path = join(folder, `${how}.so`);
    copyFileSync(wrong, path);
    expect((await refused(path, { FAKE_PLUGIN: how })).message).toMatch(message);
  });

  it('for want of a library of CUDA, which is named', async () => {
    const cudart = join(folder, 'libcudart.so.12');
    const path = join(folder, 'needs.so');
    const sources = {
      'cudart.c': 'void cuda(void) {}',
      'needs.c': 'void cuda(void); void *GetPjrtApi(void) { cuda(); return 0; }',
    };
    for (const [name, text] of Object.entries(sources)) writeFileSync(join(folder, name), text);
    expect(compile('-Wl,-soname,libcudart.so.12', '-o', cudart, join(folder, 'cudart.c'))).toBe(true);
    expect(compile('-o', path, join(folder, 'needs.c'), cudart)).toBe(true);
    rmSync(cudart);
    const error = await refused(path);
    expect(error.code).toBe('plugin-unloadable');
    expect(error.message).toContain('libcudart.so.12: cannot open shared object file');
    expect(error.suggestions[0]).toContain('Install what brings libcudart.so.12');
  });
});

describe.skipIf(withoutPlugin)('the plugin itself, in a process of its own', () => {
  const SIZE = 2 ** 38;
  const cases = {
    'a program that does not compile': {
      text: 'module @m { func.func public @main(%a: tensor<f32>) -> tensor<f32> { return %b : tensor<f32> } }',
      shape: [],
      expected: { code: 'compile-failed', exitStatus: 4 },
      words: /^XLA failed compiling .*undeclared SSA value/,
      suggests: /--dump-program/,
    },
    'a device that runs out of memory': {
      text: `module @m { func.func public @main(%a: tensor<f32>) -> tensor<${SIZE}xf32> {
        %b = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<${SIZE}xf32>
        return %b : tensor<${SIZE}xf32> } }`,
      shape: [SIZE],
      expected: { code: 'out-of-memory', exitStatus: 4 },
      words: /out of memory/i,
      suggests: /Make each step smaller/,
    },
  };
  it.each(Object.entries(cases))('tells of %s in its own words and goes on', async (_, one) => {
    const program = { name: 'm', text: one.text, inputs: [{ elementType: 'f32', shape: [] }] };
    const outputs = [{ elementType: 'f32', shape: one.shape }];
    const { status, signal, stdout } = await runScript(
      `const c = await openCpu();
       try {
         const p = await c.compile(${JSON.stringify({ ...program, outputs, donated: [] })}, { cache: false });
         const [b] = p.execute([c.upload(Float32Array.of(1), 'f32', [])]);
         await b.ready();
       } catch ({ code, exitStatus, message, suggestions }) {
         console.log(JSON.stringify({ code, exitStatus, message, suggestions }));
       }
       const p = await c.compile(square); const [y] = p.execute([c.upload(values, 'f32', [1024, 1024])]); await y.read();`,
    );
    expect({ status, signal }).toEqual({ status: 0, signal: null });
    const error = JSON.parse(stdout);
    expect(error).toMatchObject(one.expected);
    expect(error.message).toMatch(one.words);
    expect(error.suggestions.join()).toMatch(one.suggests);
  });
});
