/** A plugin found on this machine, verified. */
export interface PluginLocation {
  /** `xla-cpu`, `xla-cuda12`, …, `custom` for one named by SPARSELAW_PJRT_PLUGIN, `jax` for one of a JAX environment. */
  readonly name: string;
  /** The package it came from and its version, for provenance. */
  readonly package: string;
  readonly version: string;
  readonly device: 'cpu' | 'cuda';
  /** Path of the shared library. */
  readonly path: string;
  readonly sha256: string;
  /** Shared libraries to load before it, in order. */
  readonly libraries: readonly string[];
  /** XLA options that every program compiled with it needs. */
  readonly overrides: Readonly<Record<string, string>>;
}
