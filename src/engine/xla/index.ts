import { join } from 'node:path';
import { registerBackend, engine as tfjs, version_core } from '@tensorflow/tfjs-core';
import { engineError } from '../../errors.js';
import { writeFileAtomic } from '../../io/atomic.js';
import { withFile } from '../../io/file-error.js';
import { makeFolder } from '../../io/make-folder.js';
import type { Engine, EngineOptions } from '../engine.js';
import { hasNvidiaGpu } from '../gpu.js';
import { registerGradients } from '../gradients.js';
import { findPlugin, type PluginLocation } from '../install/index.js';
import { BACKEND, type Fusions, XlaBackend } from './backend.js';
import { xlaCollectives } from './collectives.js';
import { recordFold } from './fold.js';
import { type KernelChoice, type KernelKind, requestedKinds } from './kernel-choice.js';
import { rightKinds } from './kernel-probe.js';
import { readKernelTable, usualChoice } from './kernel-table.js';
import { cudnnTakes } from './kernels/cudnn-attention.js';
import { registerKernels } from './kernels/index.js';
import { openPlugin } from './open.js';
import type { PjrtClient } from './pjrt/index.js';
import { createProgram } from './program.js';
import { toDevices } from './upload.js';

/** tfjs never chooses this backend by itself: it runs nothing op by op. */
const NEVER_DEFAULT = -1000;

/** The one tfjs backend of all XLA engines of this process. */
function sharedBackend(): XlaBackend {
  const known = tfjs().findBackend(BACKEND) as unknown as XlaBackend | null;
  if (known) return known;
  // One for good: where no backend is active, tfjs asks for it anew when a tensor is made outside of programs.
  const backend = new XlaBackend();
  registerBackend(BACKEND, () => backend, NEVER_DEFAULT);
  registerKernels();
  return backend;
}

/**
 * Functions of tfjs-core ops are recorded once, compiled to one program each and run on a PJRT plugin: CPU
 * (`device: 'cpu'`) or NVIDIA GPU (`cuda`); where no device is named, a GPU if it can be used. Outside compiled
 * functions the engine only holds tensors.
 * @throws SparselawError (status 4) when no plugin is installed or it does not start.
 */
export async function openXla(options: EngineOptions = {}): Promise<Engine> {
  if (options.device) return openXlaWith(await findPlugin(options.device), options);
  const plugin = await preferredPlugin();
  return openXlaWith(plugin, { ...options, device: plugin.device });
}

/** A GPU's plugin where there are both, else the processor's. */
async function preferredPlugin(): Promise<PluginLocation> {
  const forGpu = hasNvidiaGpu() ? await findPlugin('cuda').catch(() => undefined) : undefined;
  return forGpu ?? findPlugin('cpu');
}

/** For experiments. */
interface XlaOptions extends EngineOptions {
  /** XLA's own, by name. */
  xlaOptions?: Readonly<Record<string, string | number | boolean>>;
  /** false: call none of the device's fused kernels. */
  fusions?: boolean;
  /** Kernels of our own; by default where the device compiles them. */
  kernels?: KernelChoice | false;
}

/** The engine on a plugin that was found. */
export async function openXlaWith(plugin: PluginLocation, options: XlaOptions = {}): Promise<Engine> {
  refuseUnlessComputed(options);
  const overrides = { ...programOptions(options), ...options.xlaOptions };
  const asks = options.kernels === undefined && mayCallKernels(options);
  const right = asks ? await rightKinds(plugin) : [];
  const client = await openPlugin(plugin, overrides, options.devices);
  const kernels = options.kernels ?? (await usualKernels(plugin, client.deviceDescription, right));
  return xlaEngine(client, { ...options, kernels });
}

async function usualKernels(plugin: PluginLocation, device: string, right: readonly KernelKind[]) {
  if (right.length === 0) return false;
  return usualChoice(right, await readKernelTable(plugin, device), requestedKinds());
}

/** Kernels of our own compute in bfloat16, as cuDNN's do. */
const mayCallKernels = ({ precision, deterministic, fusions }: XlaOptions): boolean =>
  precision === 'bfloat16' && !deterministic && fusions !== false;

/**
 * What was measured to pay on an H200 (reports/performance.md). Products that share an operand are not merged:
 * merging copies activations together and costs up to 5 %. cuBLAS alone multiplies: Triton's products gain
 * nothing and their search takes half of the compile time.
 */
const GPU_OPTIONS = { xla_gpu_dot_merger_threshold_mb: 0, xla_gpu_enable_triton_gemm: false };

/** XLA options that a device, a precision and determinism ask for. */
function programOptions({ precision, device, deterministic = false }: EngineOptions) {
  return {
    ...(device === 'cuda' && GPU_OPTIONS),
    // Values held in bfloat16 are to be stored as such: XLA would keep float32 where it already has it.
    ...(precision === 'bfloat16' && { xla_allow_excess_precision: false }),
    ...(deterministic && device === 'cuda' && { xla_gpu_deterministic_ops: true }),
  };
}

/** Refuses the precision that programs would not really be computed in. */
function refuseUnlessComputed({ precision = 'float32', device = 'cpu' }: EngineOptions): void {
  if (precision !== 'tf32' || device === 'cuda') return;
  throw engineError('tf32 is an arithmetic of NVIDIA GPUs; the processor has none.', {
    code: 'no-such-precision',
    suggestions: ['Use --precision float32 or bfloat16, or --device cuda.'],
  });
}

/** The engine on a client that is open already; it closes the client when it is closed. */
export function xlaEngine(client: PjrtClient, options: XlaOptions = {}): Engine {
  const device = options.device ?? 'cpu';
  const precision = options.precision ?? 'float32';
  registerGradients();
  const backend = sharedBackend();
  const devices = client.deviceCount;
  const context = {
    backend,
    client,
    devices,
    precision,
    fusions: fusionsOf(client, options),
    onText: programDumper(options.dumpProgramDir),
  };
  const { name, version, apiVersion } = client.plugin;
  return {
    name: 'xla',
    device,
    deviceDescription: `${devices > 1 ? `${devices} × ` : ''}${client.deviceDescription}`,
    precision,
    devices,
    collectives: xlaCollectives(backend, devices),
    // Scattered sums on a GPU are added in the order in which threads arrive, unless that is forbidden.
    deterministic: device === 'cpu' || (options.deterministic ?? false),
    versions: { 'tfjs-core': version_core, plugin: `${name} ${version}`.trim(), pjrt: apiVersion },
    upload: ({ dtype, shape, values, split }) =>
      backend.deviceTensor(
        toDevices(context, values, { element: dtype === 'float32' ? 'f32' : 'i32', shape }, split),
      ),
    compile: (fn, compileOptions) => createProgram(context, fn, compileOptions),
    fold: (body, carry, inputs) => recordFold(backend, body, carry, inputs),
    memory() {
      const stats = client.memoryStats();
      return {
        liveTensors: client.liveBuffers,
        bytesInUse: stats?.bytesInUse ?? client.heldBytes(),
        ...(stats?.peakBytes !== undefined && { peakBytes: stats.peakBytes }),
        ...(stats?.bytesLimit !== undefined && { bytesLimit: stats.bytesLimit }),
      };
    },
    close: () => client.close(),
  };
}

/**
 * cuDNN's fused attention works in bfloat16 alone, and not in deterministic programs: its gradient adds in any
 * order, and asking XLA 0.11.2 for the ordered form ends the process.
 */
function fusionsOf(
  client: PjrtClient,
  { precision, deterministic, fusions, kernels }: XlaOptions,
): Fusions | undefined {
  if (fusions === false) return undefined;
  if (client.platform === 'cpu') return { repeatsTables: true };
  if (precision !== 'bfloat16' || deterministic) return undefined;
  const capability = Number(client.deviceAttributes.compute_capability ?? 0);
  return { causalAttention: (q, k) => cudnnTakes(capability, q, k), ...(kernels && { kernels }) };
}

/** Writes program texts as `NAME.mlir`, and `NAME-2.mlir` where a name comes again. */
function programDumper(folder: string | undefined): (name: string, text: string) => Promise<void> {
  const counts = new Map<string, number>();
  return async (name, text) => {
    if (folder === undefined) return;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    await withFile('write', folder, () => makeFolder(folder));
    const file = `${name.replace(/[^A-Za-z0-9_.-]/g, '_')}${count === 1 ? '' : `-${count}`}.mlir`;
    await writeFileAtomic(join(folder, file), text);
  };
}
