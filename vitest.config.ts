import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [
      'test/**/*.long.test.ts',
      'test/**/*.tensorflow.test.ts',
      'test/browser/**',
      'test/slurm/**',
      'node_modules/**',
    ],
    // Forked processes: the engines keep process-wide state (tfjs backends, native plugins).
    globalSetup: ['test/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    disableConsoleIntercept: true,
    env: { NO_COLOR: '1', OCLIF_COLUMNS: '80' },
  },
});
