import { describe, expect, it } from 'vitest';
import { SCENARIOS, simulate } from './coverage.js';

/** The small form; `coverage.long.test.ts` draws more and writes the table. */
const SERIES = 120;

describe('coverage of 95 % intervals', () => {
  it.each(SCENARIOS.slice(0, 1).map((scenario) => [scenario.name, scenario] as const))(
    '%s',
    (_name, scenario) => {
      const { profile } = simulate(scenario, SERIES);
      // ± 3 binomial standard errors around 95 % at this number of series.
      const slack = 3 * Math.sqrt((0.95 * 0.05) / SERIES);
      for (const share of Object.values(profile)) {
        expect(share).toBeGreaterThan(0.95 - slack);
        expect(share).toBeLessThanOrEqual(1);
      }
    },
  );
});
