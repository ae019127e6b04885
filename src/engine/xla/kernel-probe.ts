import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { writeFileAtomic } from '../../io/atomic.js';
import { cacheFolder, type PluginLocation } from '../install/index.js';
import { KERNEL_KINDS, type KernelKind, requestedKinds } from './kernel-choice.js';
import { KERNEL_VERSION } from './kernel-table.js';

/** Opening a GPU and compiling a few small programs takes seconds. */
const TIMEOUT_MS = 60_000;

/**
 * The kinds of our own kernels that a plugin compiles and whose numbers it gets right; none of them is used otherwise.
 * Tried once in a process of its own, because a plugin that takes the call for something else may end the process;
 * kept beside the compiled programs.
 */
export async function rightKinds(
  plugin: PluginLocation,
  env: NodeJS.ProcessEnv = process.env,
): Promise<readonly KernelKind[]> {
  const compiled = import.meta.url.endsWith('.js');
  if (requestedKinds(env)?.length === 0 || plugin.device !== 'cuda' || !compiled) return [];
  const path = join(cacheFolder(), 'kernels', `${plugin.sha256}.json`);
  const known = kindsSeen(await readFile(path, 'utf8').catch(() => ''));
  if (known) return known;
  const child = fileURLToPath(new URL('./kernel-probe.worker.js', import.meta.url));
  const { printed, ended } = await promisify(execFile)(process.execPath, [child, JSON.stringify(plugin)], {
    timeout: TIMEOUT_MS,
  }).then(
    ({ stdout }) => ({ printed: stdout, ended: true }),
    // Refused, or at an end: what was right before that stays right, and is tried again next time.
    ({ stdout = '' }: { stdout?: string }) => ({ printed: stdout, ended: false }),
  );
  const lines = printed.split('\n');
  const kinds = KERNEL_KINDS.filter((kind) => lines.includes(kind));
  if (ended) await writeFileAtomic(path, `${seenText(plugin, kinds)}\n`).catch(() => undefined);
  return kinds;
}

export const seenText = (
  { package: name, version }: Pick<PluginLocation, 'package' | 'version'>,
  kinds: readonly KernelKind[],
): string =>
  JSON.stringify({
    ...{ schemaVersion: 3, kernelVersion: KERNEL_VERSION, plugin: name, version },
    ...{ tried: KERNEL_KINDS, kinds },
  });

/** What `seenText` says; undefined where it is of other kernels, of fewer kinds than there are now, or damaged. */
export function kindsSeen(text: string): readonly KernelKind[] | undefined {
  try {
    const { schemaVersion, kernelVersion, tried, kinds } = JSON.parse(text) as Record<string, unknown>;
    if (schemaVersion !== 3 || kernelVersion !== KERNEL_VERSION) return undefined;
    if (!Array.isArray(tried) || !Array.isArray(kinds)) return undefined;
    if (!KERNEL_KINDS.every((kind) => tried.includes(kind))) return undefined;
    return KERNEL_KINDS.filter((kind) => kinds.includes(kind));
  } catch {
    return undefined;
  }
}
