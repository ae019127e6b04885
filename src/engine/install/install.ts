import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { EXIT, engineError, interruptedError, SparselawError } from '../../errors.js';
import { writeFolderAtomic } from '../../io/atomic.js';
import { freeBytes } from '../../io/free-space.js';
import { sha256, sha256File } from '../../io/hash.js';
import type { OnProgress } from '../../progress.js';
import { downloadWheels, keptBytes, removeDownloads } from './downloads.js';
import { checkMachine } from './machine.js';
import { archiveNameOf, checkArchive, npmDownload } from './npm.js';
import {
  downloadBytes,
  downloadCommand,
  type PinnedArchive,
  type PluginRecipe,
  requirementsOf,
  wheelNameOf,
} from './recipe.js';
import {
  type InstalledPlugin,
  PLUGIN_FILE,
  pluginFolder,
  readInstalled,
  recipeOf,
  removeInstalled,
  unwritable,
  verifyInstalled,
} from './store.js';
import { unpackWheel } from './wheel.js';

export interface InstallOptions {
  /** Wheel files to install instead of downloading: one file, or a folder that holds all of them. */
  from?: string;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

/** The wheel files to take, matched to the recipe's wheels by their hashes. */
async function chooseWheels(recipe: PluginRecipe, from: string): Promise<string[]> {
  const found = await stat(from).catch(() => undefined);
  if (!found) {
    throw engineError(`${from} does not exist.`, {
      code: 'wheel-missing',
      suggestions: [`Give the path of ${wheelNameOf(recipe)}.`],
    });
  }
  const paths = found.isDirectory()
    ? (await readdir(from)).filter((name) => name.endsWith('.whl')).map((name) => join(from, name))
    : [from];
  const byHash = new Map<string, string>();
  for (const path of paths) byHash.set(await sha256File(path), path);
  return recipe.wheels.map((wheel) => {
    const { package: name, version, sha256: pinned } = wheel;
    const path = byHash.get(pinned);
    if (path) return path;
    const seen = [...byHash].map(([hash, file]) => `${basename(file)} has ${hash}`).join(', ');
    throw engineError(
      `${from} holds no ${name} ${version} with the pinned SHA-256 ${pinned}${seen ? `; ${seen}` : ''}.`,
      {
        code: 'hash-mismatch',
        suggestions: [`Download it again: ${downloadCommand(recipe, [wheel])}`],
      },
    );
  });
}

async function describe(recipe: PluginRecipe, folder: string): Promise<InstalledPlugin> {
  const hash = await sha256File(join(folder, recipe.library));
  if (hash !== recipe.librarySha256) {
    throw engineError(
      `The library in ${recipe.name}'s wheel has the SHA-256 ${hash}, not ${recipe.librarySha256}.`,
      {
        code: 'hash-mismatch',
      },
    );
  }
  const [plugin] = recipe.wheels;
  return {
    schemaVersion: 1,
    name: recipe.name,
    package: plugin.package,
    version: plugin.version,
    requirementsSha256: sha256(requirementsOf(recipe)),
    library: recipe.library,
    sha256: hash,
    libraries: await Promise.all(
      recipe.libraries.map(async (path) => ({ path, bytes: (await stat(join(folder, path))).size })),
    ),
    installedAt: new Date().toISOString(),
  };
}

async function fill(recipe: PluginRecipe, folder: string, options: InstallOptions): Promise<void> {
  const { from, onProgress, signal } = options;
  const scratch = join(folder, '.download');
  const total = downloadBytes(recipe);
  const report = (task: string) => (done: number) =>
    onProgress?.({ task: `${task} ${recipe.name}`, done: Math.min(done, total), total, unit: 'bytes' });
  await requireRoom(recipe, dirname(folder));
  const downloaded = report('download');
  downloaded(0);
  // The small one first: who lacks npm learns it before the gigabytes.
  const archive = recipe.archive && (await chooseArchive(recipe.archive, from, scratch, signal));
  const wheels = from
    ? await chooseWheels(recipe, from)
    : await downloadWheels(recipe, join(scratch, 'wheels'), { signal, onBytes: downloaded });
  downloaded(total);
  const unpacked = report('unpack');
  let done = 0;
  for (const [index, wheel] of wheels.entries()) {
    await unpackWheel(wheel, folder, { signal, only: recipe.only });
    done += recipe.wheels[index]!.bytes;
    unpacked(done);
  }
  if (archive) await recipe.assemble?.(folder, archive);
  await rm(scratch, { recursive: true, force: true });
  const installed = await describe(recipe, folder);
  await writeFile(join(folder, PLUGIN_FILE), `${JSON.stringify(installed, null, 2)}\n`);
  unpacked(total);
}

/** npm's archive: downloaded, or the one beside the wheels that the user has fetched. */
async function chooseArchive(
  archive: PinnedArchive,
  from: string | undefined,
  scratch: string,
  signal?: AbortSignal,
): Promise<string> {
  if (!from) return npmDownload(archive, scratch, signal);
  const path = join(
    (await stat(from).catch(() => undefined))?.isDirectory() ? from : dirname(from),
    archiveNameOf(archive),
  );
  await checkArchive(archive, path);
  return path;
}

/** @throws SparselawError (status 4) when the wheels and what is in them do not fit on the disk together */
async function requireRoom(recipe: PluginRecipe, folder: string): Promise<void> {
  if (recipe.unpackedBytes === undefined) return;
  const needed = downloadBytes(recipe) - (await keptBytes(recipe)) + recipe.unpackedBytes;
  const free = await freeBytes(folder);
  if (free === undefined || free >= needed) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw engineError(
    `${recipe.name} needs ${gigabytes(needed)} while it is installed; ${folder} has ${gigabytes(free)} free.`,
    {
      code: 'disk-full',
      suggestions: ['Free some space, or set SPARSELAW_CACHE_DIR to a folder on another disk.'],
    },
  );
}

/** What is there already and whole; a damaged one is removed, so that it can be installed anew. */
async function readWhole(recipe: PluginRecipe): Promise<InstalledPlugin | undefined> {
  try {
    const installed = await readInstalled(recipe);
    if (installed) await verifyInstalled(recipe, installed);
    return installed;
  } catch (error) {
    if (!(error instanceof SparselawError) || error.code !== 'plugin-damaged') throw error;
    await removeInstalled(recipe);
    return undefined;
  }
}

async function interrupted(recipe: PluginRecipe): Promise<SparselawError> {
  const { name } = recipe;
  const kept = await keptBytes(recipe);
  const left = kept
    ? `${(kept / 1e9).toFixed(2)} GB of ${(downloadBytes(recipe) / 1e9).toFixed(2)} GB are kept for the next time`
    : 'nothing was left behind';
  return interruptedError(`Installing ${name} was interrupted; ${left}.`, {
    code: 'interrupted',
    suggestions: [
      `sparselaw engine install ${name}`,
      ...(kept ? [`Or delete them: sparselaw engine remove ${name}`] : []),
    ],
  });
}

/**
 * Downloads a plugin with pip (or takes wheel files), checks its hashes and moves it into the cache in one step. What
 * an interrupted install had whole is not downloaded again.
 * Installing what is there already and whole does nothing. Several processes may install at once: one wins, all
 * find it installed.
 * @throws SparselawError (status 4): unknown name, machine without such a wheel, no pip, wrong hash, unwritable cache;
 *   (status 6) when interrupted
 */
export async function installPlugin(name: string, options: InstallOptions = {}): Promise<InstalledPlugin> {
  const recipe = recipeOf(name);
  checkMachine(name);
  const there = await readWhole(recipe);
  if (there) return there;
  const folder = pluginFolder(recipe);
  try {
    await writeFolderAtomic(folder, (temporary) => fill(recipe, temporary, options));
  } catch (error) {
    if (options.signal?.aborted) throw await interrupted(recipe);
    // Another process was faster: it may have taken the downloads away as well.
    const other = await readInstalled(recipe).catch(() => undefined);
    if (other) return other;
    if (error instanceof SparselawError && error.exitStatus === EXIT.input) throw unwritable(folder, error);
    throw error;
  }
  const installed = await readInstalled(recipe);
  if (!installed) throw unwritable(folder, new Error('it vanished again'));
  await removeDownloads(recipe);
  return installed;
}

/**
 * Deletes an installed plugin, or what an interrupted install has kept; false when there was neither.
 * @throws SparselawError (status 4)
 */
export async function removePlugin(name: string): Promise<boolean> {
  const recipe = recipeOf(name);
  const hadDownloads = await removeDownloads(recipe);
  return (await removeInstalled(recipe)) || hadDownloads;
}
