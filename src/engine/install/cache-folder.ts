import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where plugins and compiled programs are kept: `$SPARSELAW_CACHE_DIR`, else under the user's cache folder. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.SPARSELAW_CACHE_DIR) return env.SPARSELAW_CACHE_DIR;
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'sparselaw');
}
