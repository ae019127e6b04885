import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { sparselawHere as sparselaw } from './in-process.js';

it('says what is in the way of its folder, status 3', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sparselaw-demo-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const out = join(folder, 'file');
  await writeFile(out, '');
  const { status, stdout } = await sparselaw(['demo', '--out', out, '--engine', 'wasm', '--json']);
  expect(status).toBe(3);
  expect(JSON.parse(stdout).error.message).toBe(`Cannot write ${out}: something of that name is in the way.`);
});
