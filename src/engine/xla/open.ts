import { usageError } from '../../errors.js';
import type { PluginLocation } from '../install/index.js';
import { openPjrt, type PjrtClient, type PjrtOptions } from './pjrt/index.js';

/** Share of a GPU's memory that one process may take; the rest is left to the driver and to others. */
const DEFAULT_MEMORY_SHARE = 0.9;

/** The share that SPARSELAW_GPU_MEMORY sets. @throws SparselawError (status 2) */
function memoryShare(): number {
  const text = process.env.SPARSELAW_GPU_MEMORY;
  if (!text) return DEFAULT_MEMORY_SHARE;
  const share = Number(text);
  if (share > 0 && share < 1) return share;
  throw usageError(`SPARSELAW_GPU_MEMORY is a share between 0 and 1, not ${text}.`, {
    code: 'bad-variable',
    suggestions: ['SPARSELAW_GPU_MEMORY=0.5'],
  });
}

/** Memory is taken as it is needed, so that small programs leave a GPU to others. */
const cudaClient = (): NonNullable<PjrtOptions['clientOptions']> => ({
  preallocate: false,
  memory_fraction: memoryShare(),
});

/** A client of a plugin that was found, with XLA options for all of its programs. */
export function openPlugin(
  plugin: PluginLocation,
  overrides: NonNullable<PjrtOptions['overrides']> = {},
): Promise<PjrtClient> {
  return openPjrt({
    pluginPath: plugin.path,
    pluginName: plugin.package,
    pluginVersion: plugin.version,
    pluginHash: plugin.sha256,
    libraries: plugin.libraries,
    overrides: { ...plugin.overrides, ...overrides },
    device: plugin.device,
    ...(plugin.device === 'cuda' && { clientOptions: cudaClient() }),
  });
}
