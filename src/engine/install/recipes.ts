import { XLA_CUDA12, XLA_CUDA13 } from './recipes-cuda.js';

/** A wheel pinned by the SHA-256 of its file. */
export interface PinnedWheel {
  readonly package: string;
  readonly version: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** What a plugin is made of: the wheels, and which files of them are loaded. */
export interface PluginRecipe {
  readonly name: string;
  readonly device: 'cpu' | 'cuda';
  readonly summary: string;
  /** The first holds the plugin itself. */
  readonly wheels: readonly [PinnedWheel, ...PinnedWheel[]];
  /** Platform tags of the wheels. */
  readonly platforms: readonly string[];
  /** Path of the plugin's library within the installed tree. */
  readonly library: string;
  /** Its SHA-256. */
  readonly librarySha256: string;
  /** Shared libraries the plugin opens by name, in the order in which they are loaded before it. */
  readonly libraries: readonly string[];
  /** Folder with CUDA's device library and assembler, which the compiler asks for. */
  readonly cudaFolder?: string;
}

const XLA_CPU: PluginRecipe = {
  name: 'xla-cpu',
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

export const RECIPES: readonly PluginRecipe[] = [XLA_CPU, XLA_CUDA13, XLA_CUDA12];

export const PLUGIN_NAMES = RECIPES.map(({ name }) => name);

/** The requirements file given to pip: exact versions and the only hash each may have. */
export const requirementsOf = ({ wheels }: PluginRecipe): string =>
  wheels.map((wheel) => `${wheel.package}==${wheel.version} --hash=sha256:${wheel.sha256}\n`).join('');

/** File name of the plugin's own wheel, for people who fetch it elsewhere. */
export const wheelNameOf = ({ wheels, platforms }: PluginRecipe): string =>
  `${wheels[0].package.replaceAll('-', '_')}-${wheels[0].version}-py3-none-${platforms[0]}.whl`;
