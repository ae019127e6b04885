import { existsSync } from 'node:fs';

/** What NVIDIA's driver shows of itself on Linux, and on Linux under Windows. */
const TRACES = ['/dev/nvidiactl', '/dev/dxg'];

/** Whether this machine has an NVIDIA GPU with its driver that this process may see: a look at files, no more. */
export const hasNvidiaGpu = (env: NodeJS.ProcessEnv = process.env): boolean =>
  env.CUDA_VISIBLE_DEVICES !== '' && TRACES.some((path) => existsSync(path));
