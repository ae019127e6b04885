import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { writeFileAtomic } from '../../io/atomic.js';
import { pathExists } from '../../io/exists.js';
import { cacheFolder, type PluginLocation } from '../install/index.js';
import { requestedKinds } from './kernel-choice.js';

/** Opening a GPU and compiling one small program takes seconds. */
const TIMEOUT_MS = 60_000;

/**
 * Whether a plugin compiles kernels of our own and gets their numbers right. Tried once in a process of its own,
 * because a plugin that takes the call for something else may end the process; kept beside the compiled programs.
 */
export async function compilesKernels(plugin: PluginLocation, env = process.env): Promise<boolean> {
  const compiled = import.meta.url.endsWith('.js');
  if (requestedKinds(env)?.length === 0 || plugin.device !== 'cuda' || !compiled) return false;
  const seen = join(cacheFolder(), 'kernels', `${plugin.sha256}.json`);
  if (await pathExists(seen)) return true;
  const child = fileURLToPath(new URL('./kernel-probe.worker.js', import.meta.url));
  try {
    await promisify(execFile)(process.execPath, [child, JSON.stringify(plugin)], { timeout: TIMEOUT_MS });
  } catch {
    return false; // Refused, wrong, or at an end: everything works without.
  }
  const text = `${JSON.stringify({ schemaVersion: 1, plugin: plugin.package, version: plugin.version })}\n`;
  await writeFileAtomic(seen, text).catch(() => undefined);
  return true;
}
