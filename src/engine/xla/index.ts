import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { registerBackend, engine as tfjs, version_core } from '@tensorflow/tfjs-core';
import { engineError } from '../../errors.js';
import { writeFileAtomic } from '../../io/atomic.js';
import { registerGradients } from '../gradients.js';
import type { Engine, EngineOptions } from '../index.js';
import { findPlugin } from '../install/index.js';
import { BACKEND, XlaBackend } from './backend.js';
import { recordFold } from './fold.js';
import { registerKernels } from './kernels/index.js';
import { openPjrt, type PjrtClient } from './pjrt/index.js';
import { createProgram } from './program.js';

/** tfjs never chooses this backend by itself: it runs nothing op by op. */
const NEVER_DEFAULT = -1000;

/** The one tfjs backend of all XLA engines of this process. */
function sharedBackend(): XlaBackend {
  const known = tfjs().findBackend(BACKEND) as unknown as XlaBackend | null;
  if (known) return known;
  registerBackend(BACKEND, () => new XlaBackend(), NEVER_DEFAULT);
  registerKernels();
  return tfjs().findBackend(BACKEND) as unknown as XlaBackend;
}

/**
 * Functions of tfjs-core ops are recorded once, compiled to one program each and run on a PJRT plugin: CPU
 * (`device: 'cpu'`, the default) or NVIDIA GPU (`cuda`). Outside compiled functions it only holds tensors.
 * @throws SparselawError (status 4) when no plugin is installed or it does not start.
 */
export async function openXla(options: EngineOptions = {}): Promise<Engine> {
  refuseUnlessComputed(options);
  const plugin = await findPlugin(options.device ?? 'cpu');
  const client = await openPjrt({
    pluginPath: plugin.path,
    pluginName: plugin.package,
    pluginVersion: plugin.version,
    pluginHash: plugin.sha256,
    libraries: plugin.libraries,
    overrides: plugin.overrides,
    device: plugin.device,
  });
  return xlaEngine(client, options);
}

/** Refuses precisions that programs would not really be computed in. */
function refuseUnlessComputed({ precision = 'float32', device = 'cpu' }: EngineOptions): void {
  if (precision === 'float32' || (precision === 'tf32' && device === 'cuda')) return;
  throw engineError(`The engine xla does not compute in ${precision} on ${device} yet.`, {
    code: 'no-such-precision',
    suggestions: ['Use --precision float32.'],
  });
}

/** The engine on a client that is open already; it closes the client when it is closed. */
export function xlaEngine(client: PjrtClient, options: EngineOptions = {}): Engine {
  const device = options.device ?? 'cpu';
  const precision = options.precision ?? 'float32';
  registerGradients();
  const backend = sharedBackend();
  const context = { backend, client, precision, onText: programDumper(options.dumpProgramDir) };
  const { name, version, apiVersion } = client.plugin;
  return {
    name: 'xla',
    device,
    deviceDescription: client.deviceDescription,
    precision,
    // Scattered sums on a GPU are added in the order in which threads arrive.
    deterministic: device === 'cpu',
    versions: { 'tfjs-core': version_core, plugin: `${name} ${version}`.trim(), pjrt: apiVersion },
    upload: ({ dtype, shape, values }) =>
      backend.bufferTensor(client.upload(values, dtype === 'float32' ? 'f32' : 'i32', shape)),
    compile: (fn, compileOptions) => createProgram(context, fn, compileOptions),
    fold: (body, carry, inputs) => recordFold(backend, body, carry, inputs),
    memory() {
      const stats = client.memoryStats();
      return {
        liveTensors: client.liveBuffers,
        ...(stats && { bytesInUse: stats.bytesInUse }),
        ...(stats?.peakBytes !== undefined && { peakBytes: stats.peakBytes }),
      };
    },
    close: () => client.close(),
  };
}

/** Writes program texts as `NAME.mlir`, and `NAME-2.mlir` where a name comes again. */
function programDumper(folder: string | undefined): (name: string, text: string) => Promise<void> {
  const counts = new Map<string, number>();
  return async (name, text) => {
    if (folder === undefined) return;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    await mkdir(folder, { recursive: true });
    const file = `${name.replace(/[^A-Za-z0-9_.-]/g, '_')}${count === 1 ? '' : `-${count}`}.mlir`;
    await writeFileAtomic(join(folder, file), text);
  };
}
