import { engineError, usageError } from '../../errors.js';
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

type Count = number | 'all';
type ClientOptions = NonNullable<PjrtOptions['clientOptions']>;

/** Memory is taken as it is needed, so that small programs leave a GPU to others. */
const cudaClient = (devices: Count): ClientOptions => ({
  preallocate: false,
  memory_fraction: memoryShare(),
  // Others are not touched: a client makes itself a home on every GPU that it sees.
  ...(devices !== 'all' && { visible_devices: Array.from({ length: devices }, (_, i) => i) }),
});

/** One device makes use of all cores; more of them share the cores and show what several GPUs would do. */
const cpuClient = (devices: Count): ClientOptions => ({ cpu_device_count: devices === 'all' ? 1 : devices });

/**
 * A client of a plugin that was found, with XLA options for all of its programs.
 * @param devices how many it shall have; `all` GPUs, or the one CPU device
 * @throws SparselawError (status 4) where there are fewer
 */
export async function openPlugin(
  plugin: PluginLocation,
  overrides: NonNullable<PjrtOptions['overrides']> = {},
  devices: Count = 1,
): Promise<PjrtClient> {
  const client = await openPjrt({
    pluginPath: plugin.path,
    pluginName: plugin.package,
    pluginVersion: plugin.version,
    pluginHash: plugin.sha256,
    libraries: plugin.libraries,
    overrides: { ...plugin.overrides, ...overrides },
    device: plugin.device,
    clientOptions: plugin.device === 'cuda' ? cudaClient(devices) : cpuClient(devices),
  });
  if (devices === 'all' || devices === client.deviceCount) return client;
  const shown = client.deviceCount;
  await client.close();
  throw engineError(`${devices} devices were asked for, but the plugin shows ${shown}.`, {
    code: 'too-few-devices',
    suggestions: [
      'Lower --devices, or leave it out.',
      'On GPUs a process keeps the number that it opened first: use another process for more.',
    ],
  });
}
