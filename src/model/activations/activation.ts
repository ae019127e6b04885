import type { Tensor } from '@tensorflow/tfjs-core';
import type { ActivationName } from './names.js';

export interface Activation {
  readonly name: ActivationName;
  /** Element-wise, differentiable, any shape. */
  apply(x: Tensor): Tensor;
  /** Also applied to the up projection of a gated FFN (dReLU). */
  readonly onUp?: boolean;
  /** Whether negative inputs give exactly 0, so that counting zeros measures sparsity. */
  readonly exactZeros: boolean;
  /** `hidden_act` of transformers' config.json; null where transformers has no such activation. */
  readonly huggingFaceName: string | null;
}
