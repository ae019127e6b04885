import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { Check } from '../../src/doctor/check.js';
import { canTrain, runChecks } from '../../src/doctor/checks.js';
import { parityWithReference, runProbe } from '../../src/doctor/parity.js';
import { openEngine } from '../../src/engine/index.js';

it('finds an engine that works and compares it with the reference', async () => {
  const checks = await runChecks(['wasm']);
  expect(checks.map(({ name }) => name)).toEqual(['node', 'machine', 'pip', 'xz', 'engine wasm']);
  const engine = checks.at(-1)!;
  expect(engine.status).toBe('ok');
  expect(engine.found).toMatch(/differs from the reference by \d/);
  expect(canTrain(checks)).toBe(true);
});

it('says how an engine that is missing is installed, each way by itself', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'sparselaw-doctor-'));
  vi.stubEnv('SPARSELAW_CACHE_DIR', cache);
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await rm(cache, { recursive: true, force: true });
  });
  const checks = await runChecks(['tensorflow']);
  expect(checks.find(({ name }) => name === 'engine tensorflow')).toMatchObject({
    status: 'missing',
    found: 'TensorFlow is not installed.',
    advice: 'sparselaw engine install tensorflow, or: sparselaw engine install tensorflow-cuda12',
  });
});

it('says that nothing can train when no engine is ok', () => {
  const engine: Check = { name: 'engine wasm', status: 'warning', found: '', advice: '' };
  expect(canTrain([{ ...engine, name: 'node', status: 'ok' }, engine])).toBe(false);
});

it('sees a difference where there is one', async () => {
  const engine = await openEngine('cpu');
  expect(await parityWithReference(engine)).toBe(0);
  const probe = await runProbe(engine);
  // A loss and two gradients of 32 × 32.
  expect(probe).toHaveLength(1 + 2 * 32 * 32);
  expect(probe.every(Number.isFinite)).toBe(true);
  const biased = {
    ...engine,
    upload: (values: Parameters<typeof engine.upload>[0]) => {
      const shifted = Float32Array.from(values.values, (value) => value * 1.01);
      return engine.upload({ ...values, values: shifted });
    },
  };
  expect(await parityWithReference(biased)).toBeGreaterThan(1e-3);
});
