import type { PluginRecipe } from './recipe.js';
import { XLA_CUDA12, XLA_CUDA13 } from './recipes-cuda.js';
import { TENSORFLOW, TENSORFLOW_CUDA12 } from './recipes-tensorflow.js';

const XLA_CPU: PluginRecipe = {
  name: 'xla-cpu',
  engine: 'xla',
  device: 'cpu',
  summary: 'XLA for the processor (Linux, x86-64)',
  wheels: [
    {
      package: 'lammps-jax-pjrt-cpu',
      version: '0.11.2',
      sha256: '1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1',
      bytes: 62_711_338,
    },
  ],
  platforms: ['manylinux_2_27_x86_64'],
  library: 'lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so',
  librarySha256: 'ad1309ac822b1b24d51b7f9947c7c9fa9ef5d67f390584cbc3d1fa2428fed9c2',
  libraries: [],
};

export const RECIPES: readonly PluginRecipe[] = [
  XLA_CPU,
  XLA_CUDA13,
  XLA_CUDA12,
  TENSORFLOW,
  TENSORFLOW_CUDA12,
];

export const PLUGIN_NAMES = RECIPES.map(({ name }) => name);
