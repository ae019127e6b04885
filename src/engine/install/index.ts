import { engineError } from '../../errors.js';

/** A plugin found on this machine, verified. */
export interface PluginLocation {
  /** `xla-cpu`, `xla-cuda12`, …, or `custom` for one named by SPARSELAW_PJRT_PLUGIN. */
  readonly name: string;
  /** The wheel it came from and its version, for provenance. */
  readonly package: string;
  readonly version: string;
  readonly device: 'cpu' | 'cuda';
  /** Path of the shared library. */
  readonly path: string;
  readonly sha256: string;
  /** Shared libraries to load before it, in order. */
  readonly libraries: readonly string[];
}

/**
 * The plugin that serves a kind of device: SPARSELAW_PJRT_PLUGIN, else the installed one.
 * @throws SparselawError (status 4) when none is installed or its hash changed.
 */
export async function findPlugin(device: 'cpu' | 'cuda'): Promise<PluginLocation> {
  throw engineError(`No PJRT plugin for ${device} is installed.`, {
    code: 'plugin-missing',
    suggestions: [`sparselaw engine install xla-${device}`],
  });
}
