import { fileURLToPath } from 'node:url';
import { Flags } from '@oclif/core';
import { EXIT } from '../../src/errors.js';
import type { PoolOptions } from '../../src/sweep/run-sweep.js';
import type { RunView } from '../../src/sweep/status.js';
import type { Sweep } from '../../src/sweep/sweep-file.js';
import { countFlag } from '../_flags.js';

/** Flags that say where runs are worked on. */
export const executorFlags = {
  executor: Flags.option({ options: ['local', 'slurm'] as const })({
    summary: 'Where runs are worked on: processes of this machine, or jobs of a cluster.',
    default: 'local',
    helpGroup: 'EXECUTOR',
  }),
  parallel: countFlag({
    min: 1,
    max: 1000,
    summary: 'Runs at a time; default: one a GPU, one without GPUs; slurm: as the grid says.',
    helpGroup: 'EXECUTOR',
  }),
  gpus: Flags.string({
    summary: 'local: GPUs to use, such as 0,1; none for the CPU; default: all there are.',
    helpValue: 'LIST',
    helpGroup: 'EXECUTOR',
  }),
};

export interface ExecutorFlags {
  executor: 'local' | 'slurm';
  parallel?: number;
  gpus?: string;
}

interface Hands {
  signal: AbortSignal;
  notice(message: string): void;
  onChange: PoolOptions['onChange'];
}

/** The program itself; commands run compiled, from dist/commands/sweep. */
const program = fileURLToPath(new URL('../../../bin/run.js', import.meta.url));

/**
 * Works on runs where the flags say.
 * @returns where every run stands afterwards, and the exit status that says how it went
 */
export async function workOn(
  folder: string,
  sweep: Sweep,
  ids: readonly string[],
  flags: ExecutorFlags,
  { signal, notice, onChange }: Hands,
): Promise<{ views: RunView[]; status: number }> {
  const { sweepStatus } = await import('../../src/sweep/status.js');
  if (flags.executor === 'slurm') {
    // What another process works on is its own job's to finish, or that job goes back into the queue.
    const now = await sweepStatus(folder, sweep);
    const idle = ids.filter((id) => now.find((view) => view.id === id)?.state !== 'running');
    if (idle.length > 0) {
      const { submitToSlurm } = await import('../../src/sweep/executors/slurm.js');
      const throttle = flags.parallel === undefined ? {} : { throttle: flags.parallel };
      const submitted = await submitToSlurm(folder, sweep, idle, { program, ...throttle });
      for (const { stage, job, ids: tasks } of submitted) {
        notice(`Submitted ${stage} as job ${job}${tasks.length > 0 ? ` (${tasks.length} tasks)` : ''}.`);
      }
    }
    return { views: await sweepStatus(folder, sweep), status: 0 };
  }
  const [{ runPool }, { divideMachine }] = await Promise.all([
    import('../../src/sweep/run-sweep.js'),
    import('../../src/sweep/executors/devices.js'),
  ]);
  const gpus = flags.gpus === 'none' ? [] : flags.gpus?.split(',').filter((name) => name !== '');
  const { views, finishStatus } = await runPool(folder, sweep, ids, {
    shares: divideMachine({
      parallel: flags.parallel,
      gpus,
      perRun: Math.max(
        1,
        ...sweep.runs.filter(({ id }) => ids.includes(id)).map(({ config }) => config.devices ?? 1),
      ),
    }),
    program,
    signal,
    onChange,
    onEnd: (view) => notice(endLine(view)),
  });
  const failed = views.find((view) => view.state === 'failed' && ids.includes(view.id));
  if (signal.aborted) return { views, status: EXIT.interrupted };
  return { views, status: failed?.reason?.exitStatus ?? finishStatus };
}

function endLine({ id, state, reason }: RunView): string {
  return `${id}: ${state}${reason ? `: ${reason.message}` : ''}`;
}
