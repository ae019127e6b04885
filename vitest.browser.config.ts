import { defineConfig } from 'vitest/config';

/** The report in a real browser: needs Chromium (apt-get install chromium, or CHROMIUM=path) and playwright-core. */
export default defineConfig({
  test: {
    include: ['test/browser/**/*.browser.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
