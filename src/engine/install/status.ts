import { join } from 'node:path';
import { SparselawError } from '../../errors.js';
import { hasNvidiaGpu } from '../gpu.js';
import { findJaxCuda } from './jax-environment.js';
import { downloadBytes } from './recipe.js';
import { RECIPES } from './recipes.js';
import { pluginFolder, readInstalled, verifyInstalled } from './store.js';

/** One plugin that can be installed, and whether it is. */
export interface PluginStatus {
  readonly name: string;
  readonly engine: 'xla' | 'tensorflow';
  readonly device: 'cpu' | 'cuda';
  readonly summary: string;
  /** `ready`: there and byte for byte as pinned; `found`: another's installation, used as it is. */
  readonly status: 'ready' | 'damaged' | 'not installed' | 'found';
  readonly package: string;
  readonly version: string;
  readonly downloadBytes: number;
  /** Path of the library, when installed. */
  readonly path?: string;
  readonly problem?: string;
}

/** The plugin of a JAX installation, which is taken where none of ours is installed. */
async function foundPlugins(): Promise<PluginStatus[]> {
  const found = hasNvidiaGpu() ? await findJaxCuda() : undefined;
  if (!found) return [];
  const { name, device, package: from, version, path } = found;
  const summary = "XLA for NVIDIA GPUs, of python3's JAX";
  return [
    { name, engine: 'xla', device, summary, status: 'found', package: from, version, downloadBytes: 0, path },
  ];
}

/** Looks at every plugin of the list, verifies those installed, and looks for one of JAX on a machine with a GPU. */
export async function listPlugins(): Promise<PluginStatus[]> {
  const ours = await Promise.all(
    RECIPES.map(async (recipe): Promise<PluginStatus> => {
      const common = {
        name: recipe.name,
        engine: recipe.engine,
        device: recipe.device,
        summary: recipe.summary,
        package: recipe.wheels[0].package,
        version: recipe.wheels[0].version,
        downloadBytes: downloadBytes(recipe),
      };
      try {
        const installed = await readInstalled(recipe);
        if (!installed) return { ...common, status: 'not installed' };
        await verifyInstalled(recipe, installed);
        return { ...common, status: 'ready', path: join(pluginFolder(recipe), recipe.library) };
      } catch (error) {
        if (!(error instanceof SparselawError)) throw error;
        return { ...common, status: 'damaged', problem: error.message };
      }
    }),
  );
  return [...ours, ...(await foundPlugins())];
}
