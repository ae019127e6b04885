import { cpus } from 'node:os';
import { version_core } from '@tensorflow/tfjs-core';
import { engineError } from '../../errors.js';
import { openEager, refuseSeveralDevices } from '../eager.js';
import type { DeviceKind, Engine, EngineOptions, Precision } from '../engine.js';
import { applyEnvironment, tensorflowEnvironment } from './environment.js';
import { findTensorflow, requireOneCore } from './find.js';
import { BACKEND, loadTensorflow } from './load.js';
import type { TensorflowLocation } from './location.js';
import { type Probe, probe } from './probe.js';

/** A TensorFlow that was seen to work, and how it is going to be used. */
interface Choice {
  readonly location: TensorflowLocation;
  readonly device: DeviceKind;
  readonly precision: Precision;
  readonly deviceDescription: string;
}

/** TensorFlow is loaded once a process, with the settings of the first engine. */
let chosen: Choice | undefined;

/**
 * Runs functions op by op on TensorFlow, through tfjs-node's native binding: on an NVIDIA GPU where its build and the
 * machine have one, else on the processor, which `deviceDescription` then says.
 * @throws SparselawError (status 4) when no TensorFlow is there or none starts, for a device that it cannot use, a
 *   precision that it does not compute in, and for other settings than this process has begun with
 */
export async function openTensorflow(options: EngineOptions = {}): Promise<Engine> {
  const { precision = 'float32', device } = options;
  refuseSeveralDevices(BACKEND, options);
  refuseUnlessComputed(precision, device);
  chosen = chosen ? sameOrRefused(chosen, precision, device) : await choose(precision, device);
  applyEnvironment(tensorflowEnvironment(chosen));
  const { backend, tensorflowVersion } = loadTensorflow(chosen.location);
  // The probe has seen it; should the device have gone since, nothing may claim that it was used.
  if (backend.isUsingGpuDevice !== (chosen.device === 'cuda')) throw gpuLost();
  return openEager({
    name: BACKEND,
    device: chosen.device,
    precision,
    deviceDescription: chosen.deviceDescription,
    prefersFewOps: true,
    // Scattered sums on a GPU are added in the order in which threads arrive.
    deterministic: chosen.device === 'cpu',
    versions: {
      'tfjs-core': version_core,
      [chosen.location.name.replace('@tensorflow/', '')]: chosen.location.version,
      tensorflow: tensorflowVersion,
    },
  });
}

function refuseUnlessComputed(precision: Precision, device: DeviceKind | undefined): void {
  if (precision === 'float32' || (precision === 'tf32' && device !== 'cpu')) return;
  const where = precision === 'tf32' ? ' on the CPU' : '';
  throw engineError(`The engine tensorflow does not compute in ${precision}${where}.`, {
    code: 'no-such-precision',
    suggestions: ['Use --precision float32 (or tf32 on a GPU), or --engine xla.'],
  });
}

function sameOrRefused(before: Choice, precision: Precision, device: DeviceKind | undefined): Choice {
  if (before.precision === precision && (device ?? before.device) === before.device) return before;
  throw engineError(
    `TensorFlow already runs on ${before.device} in ${before.precision} in this process, and can be set only once.`,
    {
      code: 'tensorflow-started',
      suggestions: ['Use the same --device and --precision, or another process.'],
    },
  );
}

async function choose(precision: Precision, device: DeviceKind | undefined): Promise<Choice> {
  const found = await findTensorflow();
  const forGpu = found.filter(({ builtFor }) => builtFor === 'cuda');
  let noGpu = '';
  if (device !== 'cpu') {
    for (const location of forGpu) {
      const seen = await probe(location, { device: 'cuda', precision });
      if (seen.works && seen.onGpu) {
        requireOneCore(location);
        return { location, device: 'cuda', precision, deviceDescription: seen.gpuName };
      }
      noGpu = seen.works ? seen.whyNoGpu : seen.why;
    }
    if (device === 'cuda' || precision === 'tf32') throw gpuMissing(forGpu, noGpu);
  }
  // Where both are there, the build for processors alone is the smaller one.
  const inOrder = [...found.filter(({ builtFor }) => builtFor === 'cpu'), ...forGpu];
  const [location] = inOrder;
  if (!location) throw tensorflowMissing();
  const seen = await probe(location, { device: 'cpu', precision });
  if (!seen.works) throw doesNotStart(location, seen);
  requireOneCore(location);
  const fallback = noGpu ? `; fell back from the GPU: ${noGpu}` : '';
  return { location, device: 'cpu', precision, deviceDescription: `${processor()}${fallback}` };
}

const processor = (): string => `${cpus()[0]?.model.trim() ?? 'CPU'}, ${cpus().length} threads`;

const tensorflowMissing = () =>
  engineError('TensorFlow is not installed.', {
    code: 'tensorflow-missing',
    suggestions: ['sparselaw engine install tensorflow', 'sparselaw engine install tensorflow-cuda12'],
  });

function gpuMissing(forGpu: readonly TensorflowLocation[], why: string) {
  if (forGpu.length === 0) {
    return engineError('No TensorFlow for NVIDIA GPUs is installed.', {
      code: 'tensorflow-missing',
      suggestions: ['sparselaw engine install tensorflow-cuda12'],
    });
  }
  return engineError(`TensorFlow cannot use a GPU here: ${why}.`, {
    code: 'no-such-device',
    suggestions: ['Check the driver with nvidia-smi, or leave out --device cuda.'],
  });
}

const doesNotStart = (location: TensorflowLocation, { why }: Probe & { works: false }) =>
  engineError(`TensorFlow (${location.name} in ${location.folder}) does not start here: ${why}.`, {
    code: 'tensorflow-broken',
    suggestions: ['Use --engine xla or --engine wasm.'],
  });

const gpuLost = () =>
  engineError('TensorFlow has changed its device since it was tried: a GPU came or went.', {
    code: 'no-such-device',
    suggestions: ['Check it with nvidia-smi and run again.'],
  });
