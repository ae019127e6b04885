import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { hasNvidiaGpu } from '../engine/gpu.js';
import type { Check } from './check.js';

/** What `nvidia-smi` tells of one GPU; memory in MiB. */
interface Gpu {
  name: string;
  driver: string;
  total: number;
  free: number;
}

/** Oldest driver of the plugins: CUDA 13's and CUDA 12's. */
const DRIVERS = { cuda13: 580, cuda12: 525 };
/** Less than this leaves no room for the libraries' own workspaces and a small model. */
const LITTLE_MEMORY_MIB = 2048;
const TIMEOUT_MS = 20_000;

/** Lines of `name, driver, total, free`. */
export function parseGpus(output: string): Gpu[] {
  return output
    .trim()
    .split('\n')
    .filter((line) => line.split(',').length === 4)
    .map((line) => {
      const [name, driver, total, free] = line.split(',').map((field) => field.trim());
      return { name: name!, driver: driver!, total: Number(total), free: Number(free) };
    });
}

/** What to do about a GPU's driver and memory; empty when nothing is to be done. */
export function gpuAdvice({ driver, free }: Gpu): string {
  const major = Number(driver.split('.')[0]);
  if (major < DRIVERS.cuda12) {
    return `The driver ${driver} is too old: install ${DRIVERS.cuda12} or later (${DRIVERS.cuda13} for xla-cuda13).`;
  }
  if (free < LITTLE_MEMORY_MIB) return 'Little memory is free: see with nvidia-smi what takes it.';
  return '';
}

/** The GPUs of this machine with their driver and memory; no check where there is none. */
export async function checkGpu(): Promise<Check[]> {
  if (!hasNvidiaGpu()) return [];
  try {
    const { stdout } = await promisify(execFile)(
      'nvidia-smi',
      ['--query-gpu=name,driver_version,memory.total,memory.free', '--format=csv,noheader,nounits'],
      { timeout: TIMEOUT_MS },
    );
    const gpus = parseGpus(stdout);
    const advice = gpus.map(gpuAdvice).find((each) => each !== '') ?? '';
    const found = gpus.map(
      ({ name, driver, total, free }) =>
        `${name}, driver ${driver}, ${(free / 1024).toFixed(1)} of ${(total / 1024).toFixed(1)} GiB free`,
    );
    return [{ name: 'gpu', status: advice ? 'warning' : 'ok', found: found.join('; '), advice }];
  } catch {
    const advice = 'Install the NVIDIA driver with its tools, or look at why nvidia-smi fails.';
    return [{ name: 'gpu', status: 'warning', found: 'a driver, but nvidia-smi does not answer', advice }];
  }
}
