import { defineConfig, mergeConfig } from 'vitest/config';
import base from './vitest.config.js';

/** Kills, fuzzing, long runs, coverage simulations: minutes to hours, by name only. */
export default mergeConfig(
  base,
  defineConfig({
    test: { include: ['test/**/*.long.test.ts'], exclude: ['node_modules/**'], testTimeout: 3_600_000 },
  }),
);
