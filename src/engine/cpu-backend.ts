import { type KernelBackend, engine as tfjs } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';

/** tfjs's plain JavaScript backend, without the advertisement for tfjs-node that its first use prints. */
export function cpuBackend(): KernelBackend {
  const backend = tfjs().findBackend('cpu');
  (backend as unknown as { firstUse: boolean }).firstUse = false;
  return backend;
}
