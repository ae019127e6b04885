import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadPlugin } from '../../../../src/engine/xla/pjrt/api.js';
import { addressOf, callForEach, functionAt, openLibrary } from '../../../../src/engine/xla/pjrt/native.js';

const folder = mkdtempSync(join(tmpdir(), 'sparselaw-fake-'));
const plugin = join(folder, 'fake.so');
const source = join(import.meta.dirname, 'fake-plugin.c');
const built = spawnSync('cc', ['-w', '-shared', '-fPIC', '-o', plugin, source]).status === 0;
if (!built) console.warn('Left out: the fake plugin needs a C compiler (cc).');
afterAll(() => {
  delete process.env.FAKE_PLUGIN;
  rmSync(folder, { recursive: true });
});

const load = (how: string): unknown => {
  process.env.FAKE_PLUGIN = how;
  // A file for each: one that was taken is not loaded again.
  const path = join(folder, `${how}.so`);
  copyFileSync(plugin, path);
  try {
    return loadPlugin(path);
  } catch (error) {
    return error;
  }
};

describe.skipIf(!built)('a native function', () => {
  it('is called for each of many structs', async () => {
    const mark = functionAt(openLibrary(plugin).symbol('mark', 'void *') as bigint);
    const words = BigInt64Array.from({ length: 3 * 1000 }, (_, i) => BigInt(i));
    await new Promise<void>((done) => {
      callForEach(mark, Number(addressOf(words)), 999, 24, done);
    });
    const expected = BigInt64Array.from(words.keys(), (i) => BigInt(i % 3 === 2 && i < 2997 ? 1 - i : i));
    expect(words).toEqual(expected);
  });
});

describe.skipIf(!built)('a plugin that is not what it should be', () => {
  it.each([
    ['nothing', /GetPjrtApi returned nothing/],
    ['small', /declares a size of 8 bytes/],
    ['huge', /declares a size of 18446744073709551615 bytes/],
    ['major', /speaks PJRT 1\.112, but 0\.54 or a later 0\.x is needed/],
    ['old', /speaks PJRT 0\.3/],
    ['short', /its table of 12 functions lacks PJRT_\w+/],
    ['hole', /lacks PJRT_Client_Create/],
  ])('is refused: %s', (how, message) => {
    const error = load(how) as Error;
    expect(error).toMatchObject({ exitStatus: 4, code: 'plugin-unusable' });
    expect(error.message).toMatch(message);
  });

  it('is refused in its own words when it does not initialise', () => {
    const error = load('fails') as Error;
    expect(error).toMatchObject({ exitStatus: 4 });
    expect(error.message).toMatch(/initialising the plugin.*the driver is older than the plugin/s);
    expect(error.message).not.toContain('\u001b');
  });

  it('is taken when it is newer and has more functions', () => {
    expect(load('newer')).toMatchObject({ version: '0.999' });
  });
});
