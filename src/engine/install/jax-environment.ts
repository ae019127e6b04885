import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { sha256File } from '../../io/hash.js';
import type { PluginLocation } from './location.js';
import { XLA_CUDA12, XLA_CUDA13 } from './recipes-cuda.js';

/** Says where `jax[cuda]` keeps its plugin, without importing JAX (which would take seconds and the GPU). */
const SCRIPT = `
import importlib.metadata as metadata, json, os, sys
for name in ('13', '12'):
    for root in sys.path:
        library = os.path.join(root, 'jax_plugins', 'xla_cuda' + name, 'xla_cuda_plugin.so')
        if os.path.isfile(library):
            version = metadata.version('jax-cuda' + name + '-pjrt')
            print(json.dumps({'cuda': name, 'root': root, 'version': version}))
            sys.exit(0)
`;

const answerSchema = z.object({ cuda: z.enum(['12', '13']), root: z.string(), version: z.string() });

const TIMEOUT_MS = 10_000;

/** The CUDA plugin of a JAX installation of `python3`, with the libraries that it brings; undefined without one. */
export async function findJaxCuda(): Promise<PluginLocation | undefined> {
  let output: string;
  try {
    ({ stdout: output } = await promisify(execFile)('python3', ['-c', SCRIPT], { timeout: TIMEOUT_MS }));
  } catch {
    return undefined; // No python3, or one without JAX.
  }
  if (!output.trim()) return undefined;
  const { cuda, root, version } = answerSchema.parse(JSON.parse(output));
  const recipe = cuda === '13' ? XLA_CUDA13 : XLA_CUDA12;
  const path = join(root, recipe.library);
  const cudaFolder = join(root, recipe.cudaFolder ?? '');
  return {
    name: 'jax',
    package: recipe.wheels[0].package,
    version,
    device: 'cuda',
    path,
    sha256: await sha256File(path),
    libraries: recipe.libraries
      .map((library) => join(root, library))
      .filter((library) => existsSync(library)),
    overrides: existsSync(cudaFolder) ? { xla_gpu_cuda_data_dir: cudaFolder } : {},
  };
}
