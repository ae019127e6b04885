import { version_core } from '@tensorflow/tfjs-core';
import { cpuBackend } from './cpu-backend.js';
import { openEager, refuseUnlessPlainCpu } from './eager.js';
import type { Engine, EngineOptions } from './engine.js';

/**
 * tfjs's plain JavaScript backend: the slow reference that tests compare other engines with.
 * @throws SparselawError (status 4) for a device or precision it does not have.
 */
export async function openCpu(options: EngineOptions): Promise<Engine> {
  refuseUnlessPlainCpu('cpu', options);
  const opened = await openEager({
    name: 'cpu',
    deviceDescription: 'plain JavaScript, one thread',
    deterministic: true,
    versions: { 'tfjs-core': version_core },
  });
  cpuBackend();
  return opened;
}
