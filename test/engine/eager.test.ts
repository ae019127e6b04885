import { describe, expect, it } from 'vitest';
import { openCpu } from '../../src/engine/cpu.js';
import { openWasm } from '../../src/engine/wasm.js';
import { testEagerEngine } from './eager.js';

describe.each([
  ['cpu', openCpu],
  ['wasm', openWasm],
])('%s', (_, open) => {
  testEagerEngine(open);

  it('refuses another device or precision with status 4', async () => {
    await expect(open({ device: 'cuda' })).rejects.toMatchObject({ exitStatus: 4 });
    await expect(open({ precision: 'bfloat16' })).rejects.toMatchObject({ exitStatus: 4 });
  });
});
