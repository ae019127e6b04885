import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { engineError, usageError } from '../../errors.js';
import { writeFileAtomic } from '../../io/atomic.js';
import { sha256, sha256File } from '../../io/hash.js';
import { cacheFolder } from './cache-folder.js';
import { type PluginRecipe, requirementsOf } from './recipe.js';
import { RECIPES } from './recipes.js';

/** `plugin.json` in an installed plugin's folder. */
const installedSchema = z.strictObject({
  schemaVersion: z.literal(1),
  name: z.string(),
  package: z.string(),
  version: z.string(),
  /** Hash of the requirements it was made from. */
  requirementsSha256: z.string(),
  library: z.string(),
  sha256: z.string(),
  libraries: z.array(z.strictObject({ path: z.string(), bytes: z.int() })),
  installedAt: z.string(),
});
export type InstalledPlugin = z.infer<typeof installedSchema>;

export const PLUGIN_FILE = 'plugin.json';

export const pluginsFolder = (): string => join(cacheFolder(), 'plugins');

/** One folder per plugin and version: a running process keeps the one it loaded when another is installed. */
export const pluginFolder = (recipe: PluginRecipe): string =>
  join(
    pluginsFolder(),
    `${recipe.name}-${recipe.wheels[0].version}-${sha256(requirementsOf(recipe)).slice(0, 8)}`,
  );

/** @throws SparselawError (status 2) for a name that is none */
export function recipeOf(name: string): PluginRecipe {
  const recipe = RECIPES.find((candidate) => candidate.name === name);
  if (recipe) return recipe;
  throw usageError(`There is no plugin named ${name}.`, {
    code: 'unknown-plugin',
    suggestions: [`Choose one of ${RECIPES.map((candidate) => candidate.name).join(', ')}.`],
  });
}

/** What is installed under a recipe; undefined when nothing is. @throws SparselawError (status 4) when it is damaged. */
export async function readInstalled(recipe: PluginRecipe): Promise<InstalledPlugin | undefined> {
  const path = join(pluginFolder(recipe), PLUGIN_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw engineError(`${path} cannot be read: ${(error as Error).message}.`, {
      code: 'plugin-damaged',
      cause: error,
    });
  }
  try {
    return installedSchema.parse(JSON.parse(text));
  } catch (error) {
    throw damaged(recipe, `${path} is not what was written`, error);
  }
}

const damaged = (recipe: PluginRecipe, why: string, cause?: unknown) =>
  engineError(`The plugin ${recipe.name} is damaged: ${why}.`, {
    code: 'plugin-damaged',
    suggestions: [`sparselaw engine remove ${recipe.name}`, `sparselaw engine install ${recipe.name}`],
    cause,
  });

/** Folders that this process has verified. */
const verified = new Set<string>();

/** `verified.json` beside it: which file it was whose bytes were compared, so that starting a command reads no hundreds of MB. */
const VERIFIED_FILE = 'verified.json';
const verifiedSchema = z.strictObject({ schemaVersion: z.literal(1), sha256: z.string(), file: z.string() });

/** A file changed less long ago than this could change again within one tick of the file system's clock. */
const SETTLED_MS = 2000;

/** What changes whenever a file is written or replaced (ctime cannot be set), and how long ago it last did, in ms. */
async function identityOf(path: string): Promise<{ file: string; age: number } | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (!found) return undefined;
  const { ino, size, mtimeNs, ctimeNs } = found;
  return { file: [ino, size, mtimeNs, ctimeNs].join(' '), age: Date.now() - Number(ctimeNs / 1_000_000n) };
}

/** The library's SHA-256: the recorded one where it is still the file that was hashed, else hashed and recorded. */
async function librarySha256(folder: string, library: string): Promise<string> {
  const record = join(folder, VERIFIED_FILE);
  const identity = await identityOf(library);
  const known = await readFile(record, 'utf8')
    .then((text) => verifiedSchema.parse(JSON.parse(text)))
    .catch(() => undefined);
  if (identity && known?.file === identity.file) return known.sha256;
  const hash = await sha256File(library);
  if (identity && identity.age > SETTLED_MS) {
    const value = { schemaVersion: 1, sha256: hash, file: identity.file };
    // A cache that cannot be written to is hashed each time.
    await writeFileAtomic(record, `${JSON.stringify(value)}\n`).catch(() => undefined);
  }
  return hash;
}

/** Has the next look at each installed library read all its bytes. */
export async function forgetVerified(): Promise<void> {
  verified.clear();
  for (const recipe of RECIPES) {
    await rm(join(pluginFolder(recipe), VERIFIED_FILE), { force: true }).catch(() => undefined);
  }
}

/**
 * Checks that the plugin's library is byte for byte the pinned one (unless it is the very file that was when a
 * command last looked), and that the libraries it needs are there in full size (their gigabytes were hashed wheel
 * by wheel when installed). Once per process.
 * @throws SparselawError (status 4)
 */
export async function verifyInstalled(recipe: PluginRecipe, installed: InstalledPlugin): Promise<void> {
  const folder = pluginFolder(recipe);
  if (verified.has(folder)) return;
  const library = join(folder, recipe.library);
  const hash = await librarySha256(folder, library).catch((error) => {
    throw damaged(recipe, `${library} cannot be read`, error);
  });
  if (hash !== recipe.librarySha256 || installed.sha256 !== recipe.librarySha256) {
    throw damaged(recipe, `${library} has the SHA-256 ${hash}, not ${recipe.librarySha256}`);
  }
  for (const { path, bytes } of installed.libraries) {
    const size = await stat(join(folder, path)).then(
      (found) => found.size,
      () => undefined,
    );
    if (size !== bytes)
      throw damaged(recipe, `${join(folder, path)} has ${size ?? 'no'} bytes, not ${bytes}`);
  }
  verified.add(folder);
}

/** Deletes an installed plugin; false when there was none. */
export async function removeInstalled(recipe: PluginRecipe): Promise<boolean> {
  const folder = pluginFolder(recipe);
  const there = await stat(folder).then(
    () => true,
    () => false,
  );
  if (there) {
    await rm(folder, { recursive: true, force: true }).catch((error) => {
      throw unwritable(folder, error);
    });
  }
  verified.delete(folder);
  return there;
}

export const unwritable = (path: string, error: unknown) =>
  engineError(`Plugins cannot be written to ${path}: ${(error as Error).message.replace(/[.\s]+$/, '')}.`, {
    code: 'cache-unwritable',
    suggestions: ['Set SPARSELAW_CACHE_DIR to a folder that you may write to, with room for the plugin.'],
    cause: error,
  });
