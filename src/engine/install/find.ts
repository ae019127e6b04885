import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { engineError } from '../../errors.js';
import { sha256File } from '../../io/hash.js';
import type { TensorflowLocation } from '../tensorflow/location.js';
import { findJaxCuda } from './jax-environment.js';
import type { PluginLocation } from './location.js';
import { RECIPES } from './recipes.js';
import { TENSORFLOW, TENSORFLOW_CUDA12 } from './recipes-tensorflow.js';
import { pluginFolder, readInstalled, verifyInstalled } from './store.js';

const recipesFor = (device: 'cpu' | 'cuda') =>
  RECIPES.filter((recipe) => recipe.engine === 'xla' && recipe.device === device);

/** Tells XLA where the wheels keep CUDA's device library and assembler. */
const cudaOverrides = (folder: string | undefined): PluginLocation['overrides'] =>
  folder ? { xla_gpu_cuda_data_dir: folder } : {};

/** A path the user has named: nothing is pinned, so its hash only goes into the provenance. */
async function namedPlugin(name: string, device: 'cpu' | 'cuda'): Promise<PluginLocation> {
  const path = resolve(name);
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile) {
    throw engineError(`SPARSELAW_PJRT_PLUGIN names ${name}, which is no file.`, {
      code: 'plugin-missing',
      suggestions: ['Name the shared library (.so) of a PJRT plugin, or unset the variable.'],
    });
  }
  return {
    name: 'custom',
    package: `${basename(dirname(path))}/${basename(path)}`,
    version: '',
    device,
    path,
    sha256: await sha256File(path),
    libraries: [],
    overrides: {},
  };
}

/**
 * The plugin that serves a kind of device: the one SPARSELAW_PJRT_PLUGIN names, else the installed one, else (for
 * CUDA) that of a JAX environment.
 * @throws SparselawError (status 4) when there is none, or its bytes are not those that were pinned.
 */
export async function findPlugin(device: 'cpu' | 'cuda'): Promise<PluginLocation> {
  const named = process.env.SPARSELAW_PJRT_PLUGIN;
  if (named) return namedPlugin(named, device);
  for (const recipe of recipesFor(device)) {
    const installed = await readInstalled(recipe);
    if (!installed) continue;
    await verifyInstalled(recipe, installed);
    const folder = pluginFolder(recipe);
    return {
      name: recipe.name,
      package: installed.package,
      version: installed.version,
      device,
      path: join(folder, recipe.library),
      sha256: installed.sha256,
      libraries: installed.libraries.map(({ path }) => join(folder, path)),
      overrides: cudaOverrides(recipe.cudaFolder && join(folder, recipe.cudaFolder)),
    };
  }
  const foreign = device === 'cuda' ? await findJaxCuda() : undefined;
  if (foreign) return foreign;
  const names = recipesFor(device).map((recipe) => recipe.name);
  throw engineError(`No XLA plugin for ${device} is installed.`, {
    code: 'plugin-missing',
    suggestions: names.map((name) => `sparselaw engine install ${name}`),
  });
}

/**
 * The installed TensorFlows, the build for GPUs first.
 * @throws SparselawError (status 4) when one is damaged
 */
export async function findInstalledTensorflow(): Promise<TensorflowLocation[]> {
  const found: TensorflowLocation[] = [];
  for (const recipe of [TENSORFLOW_CUDA12, TENSORFLOW]) {
    const installed = await readInstalled(recipe);
    if (!installed) continue;
    await verifyInstalled(recipe, installed);
    const folder = pluginFolder(recipe);
    found.push({
      kind: 'installed',
      name: recipe.archive!.package,
      folder,
      binding: join(folder, recipe.library),
      version: recipe.archive!.version,
      builtFor: recipe.device,
    });
  }
  return found;
}
