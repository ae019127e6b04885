import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { usageError } from '../../errors.js';

/** What one run of a pool has to itself. */
export interface Share {
  /** Its GPUs (one, unless a run spreads over several), as CUDA_VISIBLE_DEVICES names them. */
  gpu?: string;
  /** Numbers of the cores, as `taskset -c` takes them. */
  cores?: string;
}

export interface ShareOptions {
  /** Runs at a time; default: one a GPU, one without GPUs. */
  parallel?: number;
  /** GPUs a run spreads over: the configuration's `devices`, the largest where runs differ. Default 1. */
  perRun?: number;
  /** GPUs to use, none to hide them all; default: those the environment or the machine has. */
  gpus?: readonly string[];
}

/**
 * Divides this machine among the runs of a pool: a GPU each, or an equal share of the cores.
 * @throws SparselawError (status 2) when more runs are asked for than there are GPUs
 */
export function divideMachine({ parallel, gpus: asked, perRun = 1 }: ShareOptions): Share[] {
  const gpus = asked ?? findGpus();
  if (gpus.length > 0) {
    const most = Math.floor(gpus.length / perRun);
    const count = parallel ?? Math.max(1, most);
    if (count > most) {
      const each = perRun === 1 ? 'a GPU' : `${perRun} GPUs`;
      throw usageError(`--parallel ${count}: each run takes ${each}, and there are ${gpus.length}.`, {
        code: 'bad-flag',
        suggestions: [
          ...(most > 0 ? [`Give --parallel ${most}.`] : []),
          'Give --gpus none to train on the CPU.',
        ],
      });
    }
    const groups = Array.from({ length: count }, (_, i) => gpus.slice(i * perRun, (i + 1) * perRun));
    return groups.map((group) => ({ gpu: group.join(',') }));
  }
  const count = parallel ?? 1;
  const hidden = asked ? { gpu: '' } : {};
  if (count === 1) return [hidden];
  return divideCores(allowedCores(), count).map((cores) => ({ ...hidden, cores: cores.join(',') }));
}

/** Runs of neighbouring cores, of sizes that differ by one at most; shared in turn where there are too few. */
export function divideCores(cores: readonly number[], count: number): number[][] {
  if (count >= cores.length) return Array.from({ length: count }, (_, i) => [cores[i % cores.length]!]);
  const start = (i: number) => Math.floor((i * cores.length) / count);
  return Array.from({ length: count }, (_, i) => cores.slice(start(i), start(i + 1)));
}

/** The words that go before a command, and the environment, that keep it to its share. */
export function keepTo(share: Share): { prefix: string[]; env: NodeJS.ProcessEnv } {
  const env = share.gpu === undefined ? {} : { CUDA_VISIBLE_DEVICES: share.gpu };
  const prefix = share.cores !== undefined && hasTaskset() ? ['taskset', '-c', share.cores] : [];
  return { prefix, env };
}

function findGpus(): string[] {
  const visible = process.env.CUDA_VISIBLE_DEVICES;
  if (visible !== undefined) return visible.split(',').filter((name) => name !== '' && name !== '-1');
  try {
    return readdirSync('/dev').flatMap((name) => /^nvidia(\d+)$/.exec(name)?.[1] ?? []);
  } catch {
    return [];
  }
}

let taskset: boolean | undefined;
function hasTaskset(): boolean {
  taskset ??= spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0;
  return taskset;
}

/** The cores this process may use: fewer than the machine has in a container or a batch job. */
function allowedCores(): number[] {
  try {
    const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (list) return parseCores(list);
  } catch {
    // Not Linux.
  }
  return Array.from({ length: availableParallelism() }, (_, i) => i);
}

/** `0-2,5` → 0, 1, 2, 5. */
export function parseCores(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [from, to = from] = part.split('-').map(Number);
    return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i);
  });
}
