import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { engineError } from '../../errors.js';
import { sha256File } from '../../io/hash.js';
import { makeFolder } from '../../io/make-folder.js';
import { pipDownload } from './pip.js';
import { downloadCommand, type PinnedWheel, type PluginRecipe } from './recipe.js';
import { pluginFolder } from './store.js';

/** Where whole wheels wait for the others: an interrupted install goes on with the first that is missing. */
const downloadsFolder = (recipe: PluginRecipe): string =>
  join(dirname(pluginFolder(recipe)), `.${basename(pluginFolder(recipe))}.downloads`);

/** A wheel's place there, named by its hash. */
const placeOf = (recipe: PluginRecipe, wheel: PinnedWheel): string =>
  join(downloadsFolder(recipe), `${wheel.sha256}.whl`);

/** Size of what an earlier install left; its hash is checked when it is taken. */
const keptSize = (recipe: PluginRecipe, wheel: PinnedWheel): Promise<number> =>
  stat(placeOf(recipe, wheel)).then(
    ({ size }) => size,
    () => 0,
  );

/** Bytes of the recipe's wheels that are there already, from an install that was interrupted. */
export async function keptBytes(recipe: PluginRecipe): Promise<number> {
  const sizes = await Promise.all(recipe.wheels.map((wheel) => keptSize(recipe, wheel)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Deletes them; false when there were none. */
export async function removeDownloads(recipe: PluginRecipe): Promise<boolean> {
  const folder = downloadsFolder(recipe);
  const there = await stat(folder).catch(() => undefined);
  await rm(folder, { recursive: true, force: true });
  return there !== undefined;
}

/**
 * Downloads a recipe's wheels one after the other, but for those that an interrupted install has brought already.
 * @param scratch folder for what is not whole yet, on the same file system as the cache
 * @param onBytes told how many bytes of all wheels are there
 * @returns their paths, in the recipe's order, hashes checked
 * @throws SparselawError (status 4) when there is no pip, no network, or a hash is another one than the pinned one
 */
export async function downloadWheels(
  recipe: PluginRecipe,
  scratch: string,
  { signal, onBytes }: { signal?: AbortSignal; onBytes?: (done: number) => void } = {},
): Promise<string[]> {
  const paths: string[] = [];
  let done = 0;
  for (const wheel of recipe.wheels) {
    const path = placeOf(recipe, wheel);
    const isKept = (await keptSize(recipe, wheel)) > 0 && (await sha256File(path)) === wheel.sha256;
    if (!isKept) {
      const from = done;
      const onWheelBytes = (bytes: number) => onBytes?.(from + Math.min(bytes, wheel.bytes));
      await pipDownload(recipe, wheel, scratch, { signal, onBytes: onWheelBytes });
      await keep(recipe, wheel, scratch, path);
    }
    done += wheel.bytes;
    onBytes?.(done);
    paths.push(path);
  }
  return paths;
}

/** Moves the wheel that pip has brought to its place once its hash is seen to be the pinned one. */
async function keep(recipe: PluginRecipe, wheel: PinnedWheel, scratch: string, path: string): Promise<void> {
  const name = (await readdir(scratch)).find((file) => file.endsWith('.whl'));
  const hash = name && (await sha256File(join(scratch, name)));
  if (hash !== wheel.sha256) {
    const seen = name ? `${name} with the SHA-256 ${hash}` : 'nothing';
    throw engineError(
      `pip brought ${seen} for ${wheel.package} ${wheel.version}, whose pinned SHA-256 is ${wheel.sha256}.`,
      { code: 'hash-mismatch', suggestions: [`Download it again: ${downloadCommand(recipe, [wheel])}`] },
    );
  }
  await makeFolder(dirname(path));
  await rename(join(scratch, name!), path);
}
