import { defineConfig } from 'vitest/config';
import { SHARED } from './vitest.config.js';

/** Kills, fuzzing, long runs, coverage simulations: minutes to hours, by name only. */
export default defineConfig({
  // Not merged: merging would add up the lists and exclude what is to be included.
  test: {
    ...SHARED,
    include: ['test/**/*.long.test.ts'],
    exclude: ['node_modules/**'],
    testTimeout: 3_600_000,
  },
});
