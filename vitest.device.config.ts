import { defineConfig } from 'vitest/config';
import { SHARED } from './vitest.config.js';

/** Everything that the XLA engine runs, on a GPU instead of the processor, and what only a GPU has. */
export default defineConfig({
  test: {
    ...SHARED,
    // Nothing to install: the device's plugin is there or the tests fail.
    globalSetup: [],
    include: ['test/engine/xla/**/*.test.ts', 'test/training/xla.test.ts', 'test/device/**/*.device.ts'],
    exclude: ['test/engine/xla/pjrt/**', 'node_modules/**'],
    // Processes share the device: each takes of its memory what it needs.
    maxWorkers: 4,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    env: { ...SHARED.env, SPARSELAW_TEST_DEVICE: process.env.SPARSELAW_TEST_DEVICE ?? 'cuda' },
  },
});
