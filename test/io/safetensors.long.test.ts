import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readFloatTensors, writeSafetensors } from '../../src/io/safetensors.js';
import { checkRefusals } from './hostile-safetensors.js';

it('refuses 60,000 mutated files or reads them whole', { timeout: 600_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
  await checkRefusals(folder, 60_000);
  rmSync(folder, { recursive: true });
});

it('reads a bfloat16 tensor of more than 1 GiB', { timeout: 600_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
  const path = join(folder, 'large.safetensors');
  const count = 2 ** 29 + 3;
  const data = new Float32Array(count).fill(0.5);
  data[count - 1] = 7;
  await writeSafetensors(path, new Map([['t', { dtype: 'BF16', shape: [count], data }]]));
  const read = (await readFloatTensors(path)).get('t')!.data;
  expect(read.length).toBe(count);
  expect([read[0], read[2 ** 29], read[count - 1]]).toEqual([0.5, 0.5, 7]);
  rmSync(folder, { recursive: true });
});
