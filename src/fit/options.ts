import type { Loss, Noise } from '../files/fit.js';

export interface FitOptions {
  loss: Loss;
  noise: Noise;
  /** Leading points of each group left out. */
  dropFirst: number;
  /** Share of the points at the end that are forecast from the rest. */
  holdOut: number;
  /** Two-sided confidence of every interval. */
  level: number;
  starts: number;
  /** `full`: everything. `brief`: estimates, intervals of the limit and the hold-out only; for thousands of groups. */
  detail: 'full' | 'brief';
  bootstrap: { replicates: number; seed: number; scheme: 'residual' | 'cluster' };
  /** Percentages of the limit whose x is reported. */
  within: number[];
  /** The law's x times this is the table's x. */
  xUnit: number;
}

export const DEFAULT_FIT_OPTIONS: FitOptions = {
  loss: 'squares',
  noise: 'independent',
  dropFirst: 0,
  holdOut: 0.2,
  level: 0.95,
  starts: 64,
  detail: 'full',
  bootstrap: { replicates: 0, seed: 0, scheme: 'residual' },
  within: [5],
  xUnit: 1,
};
