import { engineError } from '../../../errors.js';
import type { PjrtClient, PjrtOptions } from './types.js';

export type {
  BufferSpec,
  CompileSettings,
  DeviceMemory,
  ElementType,
  ExecutableMemory,
  HostValues,
  PjrtBuffer,
  PjrtClient,
  PjrtExecutable,
  PjrtOptions,
  ProgramSource,
} from './types.js';

/**
 * Loads a PJRT plugin and creates a client of its devices.
 * @throws SparselawError (status 4) when the file is no usable plugin or its device is missing.
 */
export async function openPjrt(options: PjrtOptions): Promise<PjrtClient> {
  throw engineError(`PJRT plugin ${options.pluginPath} cannot be opened yet.`, {
    code: 'engine-unavailable',
  });
}
