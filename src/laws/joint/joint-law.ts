import type { LawParameter } from '../law.js';

/** One run's points and the size of its model. */
export interface RunPoints {
  run: string;
  /** Non-embedding parameters / 1e9. */
  scale: number;
  /** Ascending, tokens / 1e9. */
  x: Float64Array;
  y: Float64Array;
}

/**
 * A law over several runs of different scale: shared parameters, and run effects that each run has its own of.
 * `gradient` writes the partials of the shared parameters, then of the run's own.
 */
export interface JointLaw {
  id: string;
  title: string;
  formula: string;
  tex: string;
  source: string;
  shared: readonly LawParameter[];
  effects: readonly LawParameter[];
  /** The single-run law that a run is fitted with alone, for comparison. */
  separate: string;
  value(x: number, scale: number, shared: ArrayLike<number>, effects: ArrayLike<number>): number;
  gradient(
    x: number,
    scale: number,
    shared: ArrayLike<number>,
    effects: ArrayLike<number>,
    out: Float64Array,
  ): void;
  startDimensions: number;
  /** Shared parameters for one point of the unit cube. */
  start(u: ArrayLike<number>, runs: readonly RunPoints[]): number[];
  /** A run's effects given the shared parameters, by regression. */
  startEffects(shared: ArrayLike<number>, run: RunPoints): number[];
}
