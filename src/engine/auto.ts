import { SparselawError } from '../errors.js';
import type { DeviceKind, Engine, EngineName, EngineOptions } from './engine.js';
import { hasNvidiaGpu } from './gpu.js';
import { checkMachine } from './install/machine.js';

/** Fastest first. */
const ORDER: readonly (readonly [EngineName, DeviceKind])[] = [
  ['xla', 'cuda'],
  ['tensorflow', 'cuda'],
  ['xla', 'cpu'],
  ['tensorflow', 'cpu'],
  ['wasm', 'cpu'],
];

/**
 * Opens the first engine of the order that works, on the device that was asked for or on any; warns when it is not on
 * the GPU of a machine that has one, and when it is the slow one.
 * @throws SparselawError (status 4): why the first did not work, when none does
 */
export async function openAuto(
  open: (name: EngineName, options: EngineOptions) => Promise<Engine>,
  options: EngineOptions,
  gpuHere: boolean = hasNvidiaGpu(),
  hasXla: () => boolean = xlaExists,
): Promise<Engine> {
  const { device, onWarning } = options;
  const wanted = ORDER.filter(([, kind]) => (device ? kind === device : kind === 'cpu' || gpuHere));
  const failures: SparselawError[] = [];
  for (const [name, kind] of wanted) {
    try {
      const engine = await open(name, { ...options, device: kind });
      if (gpuHere && engine.device === 'cpu' && device !== 'cpu') onWarning?.(idleGpu(engine, failures));
      else if (engine.name === 'wasm' && hasXla()) onWarning?.(slowWasm(failures));
      return engine;
    } catch (error) {
      // A bug of ours is not to be hidden behind a slower engine.
      if (!(error instanceof SparselawError)) throw error;
      failures.push(error);
    }
  }
  throw failures[0]!;
}

function idleGpu({ name }: Engine, failures: readonly SparselawError[]): string {
  const why = failures.map(({ message }) => message).slice(0, 2);
  const [suggestion] = failures.flatMap(({ suggestions }) => suggestions);
  return `The NVIDIA GPU of this machine stands idle: ${name} runs on the CPU. ${why.join(' ')} Try: ${suggestion ?? 'sparselaw doctor'}`;
}

/** Whether a plugin of xla is built for machines like this one. */
function xlaExists(): boolean {
  try {
    checkMachine('xla-cpu');
    return true;
  } catch {
    return false;
  }
}

/** What is in the way of the fast engine on the processor, which is the first that was tried there. */
function slowWasm(failures: readonly SparselawError[]): string {
  const [failure] = failures.slice(-2);
  const [suggestion] = failure?.suggestions ?? [];
  return `The engine wasm is much slower than xla. ${failure?.message ?? ''} Try: ${suggestion ?? 'sparselaw doctor'}`;
}
