import { runPaths } from '../files/run.js';
import { mapBounded } from '../io/bounded.js';
import { pathExists } from '../io/exists.js';
import { lockHolder } from '../io/lock.js';
import { jobsOf } from './executors/slurm-queue.js';
import { sweepPaths } from './paths.js';
import { secondsLeft, shareDone } from './share.js';
import { type Reason, type RunStatus, readStatus, type Stage } from './status-file.js';
import { measureHash, type Sweep, type SweepRun } from './sweep-file.js';

/**
 * `pending`: nothing done yet; `queued`: given to the batch system; `stopped`: begun, and nobody works on it now;
 * `trained`: to be measured; the rest as they say.
 */
export type RunState = 'pending' | 'queued' | 'running' | 'stopped' | 'trained' | 'done' | 'failed';

/** One run of a sweep as `sweep status` shows it. */
export interface RunView {
  id: string;
  state: RunState;
  /** What it is at, or stopped at. */
  stage: Stage | null;
  progress: RunStatus['progress'];
  /** Part of its work that is done, 0 to 1: training and measuring together, weighted by their seconds. */
  share: number;
  /** To the end of the run, measuring included. */
  secondsLeft: number | null;
  reason: Reason | null;
  /** How often it was begun. */
  attempts: number;
  /** The batch system's name of its last job. */
  job: string | null;
  /** The run's folder. */
  path: string;
}

/**
 * Where every run of a sweep stands, read from the sweep's own files; the batch system is asked only which of its
 * jobs still wait.
 */
export async function sweepStatus(folder: string, sweep: Sweep): Promise<RunView[]> {
  const jobs = await jobsOf(folder);
  return mapBounded(sweep.runs, (run) => viewOf(folder, sweep, run, jobs.get(run.id)));
}

async function viewOf(
  folder: string,
  sweep: Sweep,
  { id }: SweepRun,
  job: { name: string; waits: boolean | undefined } | undefined,
): Promise<RunView> {
  const paths = sweepPaths(folder);
  const [status, holder, isTrained] = await Promise.all([
    readStatus(folder, id),
    lockHolder(paths.runLock(id)),
    pathExists(runPaths(paths.run(id)).done),
  ]);
  const state = stateOf(status, holder !== undefined, isTrained, measureHash(sweep), job?.waits);
  const progress = state === 'done' || state === 'trained' ? null : (status?.progress ?? null);
  const isLost = (state === 'stopped' || state === 'pending') && job?.waits === false;
  return {
    id,
    state,
    stage: status?.stage ?? null,
    progress,
    share: state === 'done' ? 1 : shareDone(status, isTrained),
    secondsLeft: state === 'running' && status ? secondsLeft(status) : null,
    reason: status?.reason ?? (isLost ? lostJob(job!.name, state) : null),
    attempts: status?.attempts.length ?? 0,
    job: job?.name ?? null,
    path: paths.run(id),
  };
}

const lostJob = (job: string, state: RunState): Reason => ({
  code: 'job-lost',
  message: `Its job ${job} ended ${state === 'pending' ? 'before it began to work' : 'before it was done'}; logs/slurm-${job}.log may say why`,
  exitStatus: 4,
});

function stateOf(
  status: RunStatus | undefined,
  isHeld: boolean,
  isTrained: boolean,
  measured: string | null,
  waits: boolean | undefined,
): RunState {
  if (isHeld) return 'running';
  if (status?.state === 'failed') return 'failed';
  if (isTrained && (status?.measured ?? null) === measured) return 'done';
  if (waits) return 'queued';
  if (isTrained) return 'trained';
  return status ? 'stopped' : 'pending';
}
