import {
  customGrad,
  type GradSaveFunc,
  getBackend,
  getKernel,
  type Tensor,
  engine as tfjs,
} from '@tensorflow/tfjs-core';

/**
 * Pieces of a model that a backend may have a kernel of its own for. Each kernel gives its result and then what its
 * gradient, the kernel `…Gradient`, takes after the inputs and before the result's gradient; that one gives a gradient
 * for each input.
 */
export type FusedName = keyof typeof INPUTS;

/** How many of the inputs have a gradient; the others follow and have none. */
const INPUTS = {
  /** x / √(mean(x²) + ε) · gain over the last axis: x [N, D], gain [D]; attribute `epsilon`. */
  RmsNorm: 2,
  /** x·cos + (x with the halves of its last axis swapped)·sin: x [B, T, H, D]; cos, sin [1, T, H, D]. */
  RotateHalves: 1,
  /** −log softmax(logits)[target] of each row: logits [N, V]; targets [N] int32. */
  RowLosses: 1,
  /** softmax(q·kᵀ·scale)·v of each head, position t seeing those up to t: all [B, T, H, D]; attribute `scale`. */
  MaskedAttention: 3,
  /**
   * From x [B·T, D] and the weights of queries, keys and values, [D, D] each, to the heads' mixes [B·T, D]: Llama's
   * rotation, then `MaskedAttention`; attributes `length` T, `heads`, `theta`, `scale`.
   */
  SelfAttention: 4,
} as const;

type Attributes = Readonly<Record<string, number>>;

const hasKernel = (name: string): boolean => getKernel(name, getBackend()) !== undefined;

const run = (name: string, inputs: readonly Tensor[], attributes: Attributes): Tensor[] =>
  tfjs().runKernel(name, { ...inputs } as never, attributes) as Tensor[];

/** Whether the current backend has the kernel. */
export const isFused = (name: FusedName): boolean => hasKernel(name);

/** The kernel's result, with its gradient; undefined where the current backend has no such kernel. */
export function fused(
  name: FusedName,
  inputs: readonly Tensor[],
  attributes: Attributes = {},
): Tensor | undefined {
  if (!hasKernel(name)) return undefined;
  const count = INPUTS[name];
  const others = inputs.slice(count);
  const op = customGrad((...args) => {
    const save = args.pop() as unknown as GradSaveFunc;
    const differentiable = args as Tensor[];
    const [value, ...kept] = run(name, [...differentiable, ...others], attributes) as [Tensor, ...Tensor[]];
    save([...differentiable, ...others, ...kept]);
    return {
      value,
      gradFunc: (dy: Tensor, saved: Tensor[]) => run(`${name}Gradient`, [...saved, dy], attributes),
    };
  });
  return op(...inputs.slice(0, count));
}
