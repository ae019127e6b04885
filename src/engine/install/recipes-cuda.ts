import type { PluginRecipe } from './recipes.js';

export const XLA_CUDA_PENDING: readonly PluginRecipe[] = [];
