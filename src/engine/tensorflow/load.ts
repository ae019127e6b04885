import { createRequire } from 'node:module';
import { join } from 'node:path';
import { registerBackend, engine as tfjs } from '@tensorflow/tfjs-core';
import { keepConstants, type NodeBackend } from './backend.js';
import { registerFusedKernels } from './fused-kernels.js';
import { registerTensorflowKernels } from './kernels.js';
import { BINDING, NODE_PACKAGE, TFJS_CORE } from './layout.js';
import type { TensorflowLocation } from './location.js';
import { withoutStderr } from './silence.js';

/** Also the name of the tfjs backend. */
export const BACKEND = 'tensorflow';

export interface LoadedTensorflow {
  readonly backend: NodeBackend;
  readonly tensorflowVersion: string;
}

let loaded: LoadedTensorflow | undefined;

/**
 * Loads TensorFlow and tfjs-node's backend into this process, once: neither can be unloaded. The environment must
 * be set before. Call `probe` first: some failures end the process instead of throwing.
 * @throws whatever the package or the dynamic loader throws
 */
export function loadTensorflow(location: TensorflowLocation): LoadedTensorflow {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  restoreUtilities(require);
  const register = () =>
    location.kind === 'installed'
      ? registerInstalled(location.folder, require)
      : requireWithoutChoosing(() => require(location.folder));
  if (wantsLog()) register();
  else withoutStderr(register);
  const backend = tfjs().findBackend(BACKEND) as unknown as NodeBackend;
  keepConstants(backend);
  registerTensorflowKernels();
  registerFusedKernels(BACKEND);
  loaded = { backend, tensorflowVersion: backend.binding.TF_Version };
  return loaded;
}

/** Whether the user has asked for TensorFlow's log (0 and 1 show information and warnings). */
const wantsLog = () => Number(process.env.TF_CPP_MIN_LOG_LEVEL ?? 2) < 2;

/**
 * tfjs-node 4.22.0 calls two functions of `util` that Node 23 removed (tensorflow/tfjs#8425, merged, not released),
 * and that Node 22 warns of: ours stand there instead.
 */
function restoreUtilities(require: NodeJS.Require): void {
  const util = require('node:util') as Record<string, unknown>;
  util.isNullOrUndefined = (value: unknown) => value === null || value === undefined;
  util.isArray = Array.isArray;
}

/**
 * The installed tree holds tfjs-node's kernels without the packages it asks for: its `@tensorflow/tfjs` is a stub that
 * hands out this program's own copy of tfjs-core, so that there is one.
 */
function registerInstalled(folder: string, require: NodeJS.Require): void {
  (globalThis as Record<symbol, unknown>)[TFJS_CORE] = require('@tensorflow/tfjs-core');
  const part = (name: string) => require(join(folder, NODE_PACKAGE, 'dist', name));
  const { NodeJSKernelBackend } = part('nodejs_kernel_backend.js');
  part('register_all_kernels.js');
  const binding = require(join(folder, BINDING));
  registerBackend(
    BACKEND,
    () => new NodeJSKernelBackend(binding, '@tensorflow/tfjs-node-gpu'),
    NEVER_DEFAULT,
  );
}

/** tfjs never chooses this backend by itself. */
const NEVER_DEFAULT = -1000;

/** The package makes its backend the current one when it is loaded; the current one stays. */
function requireWithoutChoosing(load: () => void): void {
  const before = tfjs().backendName;
  load();
  if (before) void tfjs().setBackend(before);
}
