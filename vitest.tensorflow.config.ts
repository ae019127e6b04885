import { defineConfig } from 'vitest/config';

/** The engine tensorflow on the CPU: needs `sparselaw engine install tensorflow` (274 MB); nothing is skipped without it. */
export default defineConfig({
  test: {
    include: ['test/**/*.tensorflow.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 180_000,
    hookTimeout: 180_000,
    disableConsoleIntercept: true,
    env: { NO_COLOR: '1', OCLIF_COLUMNS: '80' },
  },
});
