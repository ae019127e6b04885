import { defineConfig } from 'vitest/config';

/** Sweeps on a Slurm that the test starts itself: needs root and apt-get install slurm-wlm munge. */
export default defineConfig({
  test: {
    include: ['test/slurm/**/*.slurm.test.ts'],
    pool: 'forks',
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    disableConsoleIntercept: true,
    env: { NO_COLOR: '1', OCLIF_COLUMNS: '80' },
  },
});
