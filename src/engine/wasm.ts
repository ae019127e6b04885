import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { setWasmPaths, version_wasm } from '@tensorflow/tfjs-backend-wasm';
import { version_core } from '@tensorflow/tfjs-core';
import { openEager, refuseUnlessPlainCpu } from './eager.js';
import type { Engine, EngineOptions } from './engine.js';
import { registerWasmKernels } from './wasm-kernels.js';

/**
 * tfjs's WebAssembly backend (XNNPACK, SIMD): needs nothing but npm packages.
 * In Node it has one thread: its threaded binary asks for browser workers, and tfjs turns it off.
 * @throws SparselawError (status 4) for a device or precision it does not have, or when it cannot start.
 */
export async function openWasm(options: EngineOptions): Promise<Engine> {
  refuseUnlessPlainCpu('wasm', options);
  const packageFile = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  setWasmPaths(dirname(packageFile) + sep);
  registerWasmKernels();
  return openEager({
    name: 'wasm',
    deviceDescription: 'WebAssembly with SIMD, one thread',
    deterministic: true,
    versions: { 'tfjs-core': version_core, 'tfjs-backend-wasm': version_wasm },
  });
}
