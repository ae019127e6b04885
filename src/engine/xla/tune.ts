import {
  type Cut,
  KERNEL_KINDS,
  type KernelChoice,
  type KernelKind,
  STARTING_CUTS,
} from './kernel-choice.js';

/** A kernel is kept where it makes a step shorter by this share: less is within the spread of two equal runs. */
const LEAST_GAIN = 0.005;

/** What is tried for each kind, besides leaving it to XLA. */
export const CANDIDATES: Readonly<Record<KernelKind, readonly Cut[]>> = {
  norms: [STARTING_CUTS.norms, { lanesAtOnce: 2048, rowsOfInstance: 16, warps: 8 }],
  normGradients: [
    STARTING_CUTS.normGradients,
    // Few enough instances to run at once: 1,024 of them are 1.3 times what an H200 holds.
    { lanesAtOnce: 2048, rowsOfInstance: 22, warps: 4 },
    { lanesAtOnce: 2048, rowsOfInstance: 32, warps: 4, stages: 2 },
    { lanesAtOnce: 2048, rowsOfInstance: 22, warps: 4, stages: 2 },
    { lanesAtOnce: 2048, rowsOfInstance: 8, warps: 4 },
  ],
  losses: [
    STARTING_CUTS.losses,
    { ...STARTING_CUTS.losses, warps: 4 },
    { ...STARTING_CUTS.losses, warps: 16 },
  ],
  // An instance finds its tensor by hundreds of instructions where there are a hundred: to be shared by many elements.
  squares: [STARTING_CUTS.squares, { lanesAtOnce: 4096, rowsOfInstance: 16, warps: 8 }],
  casts: [STARTING_CUTS.casts, { lanesAtOnce: 16_384, rowsOfInstance: 1, warps: 8 }],
  pairs: [
    STARTING_CUTS.pairs,
    { lanesAtOnce: 1024, rowsOfInstance: 1, warps: 4 },
    { lanesAtOnce: 4096, rowsOfInstance: 1, warps: 8 },
  ],
  sums: [STARTING_CUTS.sums],
};

export interface Trial {
  readonly kind: KernelKind;
  readonly cut: Cut;
  /** Of a step, beside one without a kernel of this kind; not a number where the step did not run. */
  readonly milliseconds: number;
  readonly without: number;
}

export interface Tuned {
  readonly cuts: Readonly<Partial<Record<KernelKind, Cut>>>;
  readonly trials: readonly Trial[];
}

/**
 * Chooses for one kind after the other the cut with the shortest step, or none where none is shorter by more than
 * the spread. Each kind is compared with a step without it that is timed beside it, so that a clock that slows
 * down favours nothing.
 * @param time milliseconds of a step with the chosen kernels; what fails is not chosen
 */
export async function searchCuts(
  time: (choose: KernelChoice) => Promise<number>,
  onTrial: (trial: Trial) => void = () => {},
  candidates: Readonly<Record<KernelKind, readonly Cut[]>> = CANDIDATES,
): Promise<Tuned> {
  const cuts: Partial<Record<KernelKind, Cut>> = {};
  const trials: Trial[] = [];
  const timed = (tried: Partial<Record<KernelKind, Cut>>) =>
    time((kind) => tried[kind]).catch(() => Number.NaN);
  for (const kind of KERNEL_KINDS) {
    const without = await timed(cuts);
    let best = without * (1 - LEAST_GAIN);
    for (const cut of candidates[kind]) {
      const milliseconds = await timed({ ...cuts, [kind]: cut });
      const trial = { kind, cut, milliseconds, without };
      trials.push(trial);
      onTrial(trial);
      if (!(milliseconds < best)) continue;
      best = milliseconds;
      cuts[kind] = cut;
    }
  }
  return { cuts, trials };
}
