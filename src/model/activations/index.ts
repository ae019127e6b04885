import type { Activation } from './activation.js';
import { drelu } from './drelu.js';
import { gelu } from './gelu.js';
import { geluTanh } from './gelu-tanh.js';
import type { ActivationName } from './names.js';
import { relu } from './relu.js';
import { relu2 } from './relu2.js';
import { silu } from './silu.js';

export type { Activation } from './activation.js';
export { ACTIVATION_NAMES, type ActivationName } from './names.js';

/** Every activation by name; a new one is a file, a name in `names.ts` and a line here. */
export const ACTIVATIONS: Readonly<Record<ActivationName, Activation>> = {
  relu,
  silu,
  gelu,
  gelu_tanh: geluTanh,
  relu2,
  drelu,
};
