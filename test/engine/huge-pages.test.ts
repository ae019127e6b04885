import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hugePagesEnvironment } from '../../src/engine/huge-pages.js';
import { startNode } from './xla/pjrt/child.js';

const MADVISE = 'always [madvise] never\n';

describe('hugePagesEnvironment', () => {
  it("adds glibc's setting to the environment and keeps other tunables", () => {
    const wanted = 'glibc.malloc.hugetlb=1';
    expect(hugePagesEnvironment({ HOME: '/h' }, 'linux', MADVISE)).toEqual({
      HOME: '/h',
      GLIBC_TUNABLES: wanted,
    });
    const others = 'glibc.malloc.arena_max=1';
    expect(hugePagesEnvironment({ GLIBC_TUNABLES: others }, 'linux', MADVISE)?.GLIBC_TUNABLES).toBe(
      `${others}:${wanted}`,
    );
  });

  it('leaves what the user has set, and systems where it would change nothing', () => {
    const chosen = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=0' };
    expect(hugePagesEnvironment(chosen, 'linux', MADVISE)).toBeUndefined();
    expect(hugePagesEnvironment({}, 'linux', '[always] madvise never\n')).toBeUndefined();
    expect(hugePagesEnvironment({}, 'linux', 'always madvise [never]\n')).toBeUndefined();
    expect(hugePagesEnvironment({}, 'linux', '')).toBeUndefined();
    expect(hugePagesEnvironment({}, 'darwin')).toBeUndefined();
  });
});

describe.skipIf(hugePagesEnvironment({}) === undefined)('restartWithHugePages', () => {
  it('keeps process number, arguments and streams', async () => {
    const module = pathToFileURL('dist/src/engine/huge-pages.js').href;
    const script = `const { restartWithHugePages } = await import('${module}');
      await restartWithHugePages();
      console.log(JSON.stringify([process.pid, process.argv.slice(1), process.env.GLIBC_TUNABLES]));
      console.error('said');`;
    const { child, done } = startNode(['--input-type=module', '-e', script, 'a', 'b c'], {
      GLIBC_TUNABLES: '',
    });
    const { status, stdout, stderr } = await done;
    expect({ status, stderr, said: JSON.parse(stdout) }).toEqual({
      status: 0,
      stderr: 'said\n',
      said: [child.pid, ['a', 'b c'], 'glibc.malloc.hugetlb=1'],
    });
  });
});
