import { usageError } from '../../errors.js';

/** Fewer rows are no work for a whole device. */
export const FEWEST_ROWS = 512;

/** How a kernel's work is cut. */
export interface Cut {
  /** Lanes that are worked on at once, over all rows of a round. */
  readonly lanesAtOnce: number;
  /** Rows of a program instance that sums over its rows; for whole tensors, rounds of an instance. */
  readonly rowsOfInstance: number;
  /** Groups of 32 threads. */
  readonly warps: number;
  /** Rounds whose operands are on their way at once; 1: each round loads when it begins. */
  readonly stages?: number;
}

/**
 * Kernels of our own, by what they do in a network: norms with the residual sum before them; their gradients;
 * cross-entropy with its gradient; the squared norm of all gradients; copies of all weights in bfloat16; two products of
 * one operand as one, with their gradients; sums of products as one, which takes no kernel of ours.
 */
export const KERNEL_KINDS = [
  'norms',
  'normGradients',
  'losses',
  'squares',
  'casts',
  'pairs',
  'sums',
] as const;
export type KernelKind = (typeof KERNEL_KINDS)[number];

/** The cut for a kernel of a kind on operands of a shape; undefined where XLA's own is to be taken. */
export type KernelChoice = (kind: KernelKind, shape: readonly number[]) => Cut | undefined;

/** The best of those tried on an H200 (reports/performance.md). */
export const DEFAULT_CUT: Cut = { lanesAtOnce: 2048, rowsOfInstance: 16, warps: 4 };

/** Where each kind starts from. Those of whole tensors and of losses were timed on a device as they are, with no others. */
export const STARTING_CUTS: Readonly<Record<KernelKind, Cut>> = {
  norms: DEFAULT_CUT,
  normGradients: DEFAULT_CUT,
  losses: { lanesAtOnce: 4096, rowsOfInstance: 1, warps: 8 },
  squares: { lanesAtOnce: 4096, rowsOfInstance: 4, warps: 8 },
  casts: { lanesAtOnce: 4096, rowsOfInstance: 1, warps: 8 },
  pairs: { lanesAtOnce: 2048, rowsOfInstance: 1, warps: 4 },
  // Nothing is cut.
  sums: DEFAULT_CUT,
};

/** Kinds that pay on an H200 (reports/performance.md): taken where they are right, unless something else is asked for. */
export const PROVEN_KINDS: readonly KernelKind[] = [
  'norms',
  'normGradients',
  'losses',
  'squares',
  'casts',
  'pairs',
  'sums',
];

/** Kernels of these kinds, cut as they start. */
export const kernelsOf =
  (kinds: readonly KernelKind[], cuts: Partial<Record<KernelKind, Cut>> = {}): KernelChoice =>
  (kind) =>
    kinds.includes(kind) ? { ...STARTING_CUTS[kind], ...cuts[kind] } : undefined;

/**
 * The kinds that `SPARSELAW_KERNELS` names: none of them (`0`), or a list with commas. Undefined where it is not set.
 * @throws SparselawError (status 2) on a name that is none
 */
export function requestedKinds(env: NodeJS.ProcessEnv = process.env): readonly KernelKind[] | undefined {
  const text = env.SPARSELAW_KERNELS;
  if (!text) return undefined;
  if (text === '0') return [];
  return text.split(',').map((name) => {
    const kind = KERNEL_KINDS.find((each) => each === name);
    if (kind) return kind;
    throw usageError(`SPARSELAW_KERNELS names ${name}, which is no kernel.`, {
      code: 'bad-variable',
      suggestions: [`0 for none, or some of ${KERNEL_KINDS.join(',')}.`],
    });
  });
}
