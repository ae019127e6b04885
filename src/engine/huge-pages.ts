import { readFileSync } from 'node:fs';

const TUNABLES = 'GLIBC_TUNABLES';
const HUGE_PAGES = 'glibc.malloc.hugetlb=1';

/** What the system does with huge pages, e.g. `always [madvise] never`; empty where it has none. */
function systemPolicy(): string {
  try {
    return readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8');
  } catch {
    return '';
  }
}

/**
 * The environment under which glibc's malloc asks for huge pages; undefined where it does already, or where that
 * changes nothing: another system, no huge pages, or all memory in huge pages anyway.
 */
export function hugePagesEnvironment(
  environment: NodeJS.ProcessEnv,
  platform: NodeJS.Platform = process.platform,
  policy: string = platform === 'linux' ? systemPolicy() : '',
): NodeJS.ProcessEnv | undefined {
  const tunables = environment[TUNABLES];
  if (!policy.includes('[madvise]') || tunables?.includes('glibc.malloc.hugetlb')) return undefined;
  return { ...environment, [TUNABLES]: tunables ? `${tunables}:${HUGE_PAGES}` : HUGE_PAGES };
}

/**
 * Starts this process anew, under the same number, with huge pages for large allocations; returns where it need not
 * or cannot. XLA's CPU runtime takes the memory of a program's intermediate values from malloc at each execution and
 * gives it back: 33,000 page faults a step of the base size, a fifth of its processor time (reports/performance.md).
 * glibc reads the setting when a process starts, and only then. To be called before anything is printed or read.
 */
export async function restartWithHugePages(): Promise<void> {
  const environment = hugePagesEnvironment(process.env);
  // A process with a channel to its parent would lose it.
  if (!environment || process.connected) return;
  try {
    const { replaceProcess } = await import('./xla/pjrt/native.js');
    const args = [process.argv0, ...process.execArgv, ...process.argv.slice(1)];
    replaceProcess(process.execPath, args, environment);
  } catch {
    // Slower, but all the same: no koffi for this system, or no execve in its C library.
  }
}
