import { join } from 'node:path';
import { SparselawError } from '../../errors.js';
import { downloadBytes, RECIPES } from './recipes.js';
import { pluginFolder, readInstalled, verifyInstalled } from './store.js';

/** One plugin that can be installed, and whether it is. */
export interface PluginStatus {
  readonly name: string;
  readonly engine: 'xla' | 'tensorflow';
  readonly device: 'cpu' | 'cuda';
  readonly summary: string;
  /** `ready`: there and byte for byte as pinned. */
  readonly status: 'ready' | 'damaged' | 'not installed';
  readonly package: string;
  readonly version: string;
  readonly downloadBytes: number;
  /** Path of the library, when installed. */
  readonly path?: string;
  readonly problem?: string;
}

/** Looks at every plugin of the list; verifies those installed. */
export async function listPlugins(): Promise<PluginStatus[]> {
  return Promise.all(
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
}
