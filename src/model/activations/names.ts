/** Activations by the names of the command line and of config.json; `index.ts` holds their functions. */
export const ACTIVATION_NAMES = ['relu', 'silu', 'gelu', 'gelu_tanh', 'relu2', 'drelu'] as const;
export type ActivationName = (typeof ACTIVATION_NAMES)[number];
