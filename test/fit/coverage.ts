import { fitPoints } from '../../src/fit/fit-points.js';
import { findLaw } from '../../src/laws/index.js';
import { randomStream } from '../../src/random.js';

/** A kind of series to draw again and again. */
export interface Scenario {
  name: string;
  law: string;
  truth: number[];
  points: number;
  /** First and last x; evenly spaced between. */
  range: [number, number];
  sigma: number;
  /** Correlation of neighbouring residuals. */
  correlation?: number;
  /** Fit the correlation too. */
  noise?: 'independent' | 'correlated';
  /** What is asserted of it: 93–97 %, or nothing. */
  expectation: 'nominal' | 'reported';
}

const relu = [0.7, -3.4, 0.08, 0.069];
const silu = [0.6, 0.12, 0.39];

export const SCENARIOS: Scenario[] = [
  {
    name: 'SiLU, well identified',
    law: 'convergent-power',
    truth: silu,
    points: 34,
    range: [3, 100],
    sigma: 7e-4,
    expectation: 'nominal',
  },
  {
    name: 'ReLU, well identified',
    law: 'logspace-power',
    truth: [1, -3.5, 0.012, 0.07],
    points: 36,
    range: [5, 400],
    sigma: 2e-4,
    expectation: 'nominal',
  },
  {
    name: 'power over a floor',
    law: 'offset-power',
    truth: [0.4, 0.05, 0.06],
    points: 30,
    range: [0.8, 100],
    sigma: 3e-4,
    expectation: 'nominal',
  },
  {
    name: 'SiLU, 10 points',
    law: 'convergent-power',
    truth: silu,
    points: 10,
    range: [3, 100],
    sigma: 7e-4,
    expectation: 'reported',
  },
  {
    name: 'SiLU, AR(0.4), fitted as independent',
    law: 'convergent-power',
    truth: silu,
    points: 34,
    range: [3, 100],
    sigma: 7e-4,
    correlation: 0.4,
    expectation: 'reported',
  },
  {
    name: 'SiLU, AR(0.4), fitted as correlated',
    law: 'convergent-power',
    truth: silu,
    points: 34,
    range: [3, 100],
    sigma: 7e-4,
    correlation: 0.4,
    noise: 'correlated',
    expectation: 'reported',
  },
  {
    name: 'ReLU, limit on its bound 0',
    law: 'logspace-power',
    truth: [0.3, -2.2, 0.4, 0],
    points: 36,
    range: [1, 150],
    sigma: 3e-4,
    expectation: 'reported',
  },
  {
    name: 'ReLU, weak (like 0.1B)',
    law: 'logspace-power',
    truth: [0.101, -0.015, 3.2, 0.0614],
    points: 28,
    range: [0.8, 41.6],
    sigma: 5.6e-4,
    expectation: 'reported',
  },
  {
    name: 'ReLU, ordinary (like 0.4B)',
    law: 'logspace-power',
    truth: relu,
    points: 40,
    range: [3.6, 145],
    sigma: 3e-4,
    expectation: 'reported',
  },
];

export interface Coverage {
  scenario: Scenario;
  series: number;
  /** Series without an interval for the limit: not converged, or open; they count as covered where an end is open. */
  open: number;
  /** Share of the intervals that contain the truth, by parameter. */
  profile: Record<string, number>;
  /** The same for estimate ± t·SE, where there is one; a series without counts as missed. */
  wald: Record<string, number>;
}

/** Draws `series` series of a scenario and counts how often the 95 % intervals contain the truth. */
export function simulate(scenario: Scenario, series: number): Coverage {
  const law = findLaw(scenario.law)!;
  const { points, range, truth, sigma, correlation = 0 } = scenario;
  const x = Float64Array.from(
    { length: points },
    (_, i) => range[0] + ((range[1] - range[0]) * i) / (points - 1),
  );
  const clean = x.map((value) => law.value(value, truth));
  const names = law.parameters.map(({ name }) => name);
  const profile = Object.fromEntries(names.map((name) => [name, 0]));
  const wald = Object.fromEntries(names.map((name) => [name, 0]));
  let open = 0;
  for (let s = 0; s < series; s++) {
    const noise = randomStream(1, `coverage/${scenario.name}/${s}`).normal(points);
    let previous = 0;
    const y = clean.map((value, i) => {
      previous = i === 0 ? noise[0]! : correlation * previous + Math.sqrt(1 - correlation ** 2) * noise[i]!;
      return value + sigma * previous;
    });
    const fitted = fitPoints(law, x, y, { noise: scenario.noise, starts: 24 });
    const estimates = fitted?.estimated.parameters ?? [];
    const t = 2.0; // near Student's quantile for these lengths; only the comparison column uses it
    for (const [j, name] of names.entries()) {
      const own = estimates[j];
      if (!own || own.method === 'none') continue;
      const low = own.low ?? -Infinity;
      const high = own.high ?? Infinity;
      if (low <= truth[j]! && truth[j]! <= high) profile[name]!++;
      if (own.standardError !== null && Math.abs(own.value - truth[j]!) <= t * own.standardError)
        wald[name]!++;
    }
    const last = estimates.at(-1);
    if (!last || last.low === null || last.high === null) open++;
  }
  for (const name of names) {
    profile[name]! /= series;
    wald[name]! /= series;
  }
  return { scenario, series, open, profile, wald };
}
