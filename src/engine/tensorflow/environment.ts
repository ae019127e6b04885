import type { DeviceKind, Precision } from '../engine.js';

export interface TensorflowSettings {
  device: DeviceKind;
  precision: Precision;
}

/** Variables by name; undefined where a variable must not be set. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What TensorFlow and CUDA read when they are loaded, and never again:
 * - a build for CUDA looks for GPUs even if none is wanted, unless CUDA_VISIBLE_DEVICES is -1;
 * - TensorFlow takes the whole card unless it is told to take memory as it needs it;
 * - NVIDIA's libraries round the factors of float32 products to TF32 where TensorFlow asks for it, as it does by
 *   default, unless NVIDIA_TF32_OVERRIDE is 0;
 * - its log is long, and what a user needs to know of it comes from the probe.
 */
export function tensorflowEnvironment(
  { device, precision }: TensorflowSettings,
  env: NodeJS.ProcessEnv = process.env,
): Environment {
  return {
    TF_FORCE_GPU_ALLOW_GROWTH: env.TF_FORCE_GPU_ALLOW_GROWTH ?? 'true',
    TF_CPP_MIN_LOG_LEVEL: env.TF_CPP_MIN_LOG_LEVEL ?? '2',
    CUDA_VISIBLE_DEVICES: device === 'cpu' ? '-1' : env.CUDA_VISIBLE_DEVICES,
    NVIDIA_TF32_OVERRIDE: device === 'cuda' && precision === 'float32' ? '0' : undefined,
  };
}

/** Sets them in this process: Node hands them to the C library, where libraries loaded later look. */
export function applyEnvironment(variables: Environment): void {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
