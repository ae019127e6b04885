import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, inputError, interruptedError, SparselawError } from '../errors.js';
import { runPaths } from '../files/run.js';
import { mapBounded } from '../io/bounded.js';
import { pathExists } from '../io/exists.js';
import { withFile } from '../io/file-error.js';
import { clearDeadLock, type Lock, type LockHolder, takeLock } from '../io/lock.js';
import { makeFolder } from '../io/make-folder.js';
import { printable } from '../io/printable.js';
import type { OnTrainEvent, TrainEvent } from '../training/events.js';
import { sweepPaths } from './paths.js';
import { expectedTrainShare } from './share.js';
import {
  emptyStatus,
  type Reason,
  type RunStatus,
  readStatus,
  type Stage,
  writeStatus,
} from './status-file.js';
import { measureHash, type Sweep } from './sweep-file.js';

/** How often a task that waits for another process looks again. */
const POLL_MS = 1000;
/** Progress is written at most this often. */
const PROGRESS_MS = 2000;

export interface TaskOptions {
  stages: readonly Stage[];
  signal: AbortSignal;
  commandLine: readonly string[];
  /** The batch system's name of the job. */
  job?: string;
  onTrainEvent?: OnTrainEvent;
  /** Told once when another process works on the run. */
  onWait?: (holder: LockHolder) => void;
}

/** What a task leaves: `held` work of others is waited for, so it is never an outcome. */
export type TaskOutcome = 'done' | 'trained' | 'failed';

/**
 * Trains and measures one run of a sweep, going on from where an earlier attempt stopped. It holds the run's lock
 * from the first step to the last measurement; where another process holds it, this one waits, and does nothing
 * that the other has done. A run that failed is left alone until `sweep retry`.
 * @param folder of the sweep
 * @throws SparselawError of the stage that failed, status 6 when interrupted; the run's status file says so first
 */
export async function runTask(
  folder: string,
  sweep: Sweep,
  id: string,
  options: TaskOptions,
): Promise<TaskOutcome> {
  const { signal, stages } = options;
  if (!sweep.runs.some((run) => run.id === id)) {
    throw inputError(`${printable(id)} is no run of ${printable(folder)}.`, {
      code: 'no-run',
      suggestions: [`sparselaw sweep status ${printable(folder)}`],
    });
  }
  const lock = await waitForLock(folder, id, options);
  try {
    const status = (await readStatus(folder, id)) ?? emptyStatus(id);
    if (status.state === 'failed') return 'failed';
    const isTrained = await pathExists(runPaths(sweepPaths(folder).run(id)).done);
    const isMeasured = isTrained && status.measured === measureHash(sweep);
    // Killed between its last step and its end, training leaves a lock that nobody takes again.
    if (isTrained) await clearDeadLock(runPaths(sweepPaths(folder).run(id)).lock);
    else {
      status.measured = null;
      if (!stages.includes('train')) throw notTrained(folder, id);
    }
    const todo = stages.filter((stage) => (stage === 'train' ? !isTrained : !isMeasured));
    if (todo.length === 0) {
      const state = isMeasured ? 'done' : 'trained';
      // An earlier attempt that was killed after its last work may have been told as stopped.
      if (status.state !== state) await writeStatus(folder, { ...status, state, reason: null, stage: null });
      return state;
    }
    status.trainShare ??= await trainShareOf(folder, sweep);
    const attempt = beginAttempt(status, todo, options);
    const end = async (state: 'stopped' | 'trained' | 'done' | 'failed', reason: Reason | null = null) => {
      Object.assign(attempt, { endedAt: new Date().toISOString(), outcome: state });
      await writeStatus(folder, Object.assign(status, { state, reason, stage: null }));
    };
    try {
      for (const stage of todo) await STAGE_WORK[stage](folder, sweep, status, options);
      const state = status.measured === measureHash(sweep) ? 'done' : 'trained';
      await end(state);
      return state;
    } catch (error) {
      const reason = reasonOf(error);
      const isStopped = signal.aborted || reason.exitStatus === EXIT.interrupted;
      // Where even this cannot be written (a full disk), the error itself still reaches the log.
      await (isStopped ? end('stopped') : end('failed', reason)).catch(() => undefined);
      throw error;
    }
  } finally {
    await lock.release();
  }
}

async function trainShareOf(folder: string, sweep: Sweep): Promise<number> {
  // A broken status file of another run is its own to report.
  const statuses = await mapBounded(sweep.runs, ({ id }) => readStatus(folder, id).catch(() => undefined));
  return expectedTrainShare(
    sweep.measure.length > 0,
    statuses.filter((status) => status !== undefined),
  );
}

const notTrained = (folder: string, id: string) =>
  inputError(`${printable(id)} is not trained yet, so there is nothing to measure.`, {
    code: 'not-trained',
    suggestions: [`sparselaw sweep status ${printable(folder)}`],
  });

async function waitForLock(folder: string, id: string, { signal, onWait }: TaskOptions): Promise<Lock> {
  const paths = sweepPaths(folder);
  await withFile('write', paths.statuses, () => makeFolder(paths.statuses));
  for (let waiting = false; ; waiting = true) {
    let holder: LockHolder | undefined;
    try {
      return await takeLock(paths.runLock(id), {
        what: id,
        held: (found) => {
          holder = found;
          return new SparselawError(`${id} is in other hands.`, EXIT.input, { code: 'locked' });
        },
      });
    } catch (error) {
      if (!holder) throw error;
      if (!waiting) onWait?.(holder);
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => {
      throw interruptedError(`${printable(id)}: interrupted while waiting.`, { code: 'interrupted' });
    });
  }
}

function beginAttempt(
  status: RunStatus,
  stages: Stage[],
  { job }: TaskOptions,
): RunStatus['attempts'][number] {
  // What still says `running` was killed: an attempt writes its end in every other case.
  for (const before of status.attempts) if (before.outcome === 'running') before.outcome = 'lost';
  const attempt = {
    startedAt: new Date().toISOString(),
    endedAt: null,
    outcome: 'running' as const,
    stages,
    host: hostname(),
    pid: process.pid,
    job: job ?? null,
  };
  status.attempts.push(attempt);
  Object.assign(status, { state: 'running', reason: null });
  return attempt;
}

type Work = (folder: string, sweep: Sweep, status: RunStatus, options: TaskOptions) => Promise<void>;

const trainStage: Work = async (folder, sweep, status, { signal, commandLine, onTrainEvent }) => {
  const { train } = await import('../training/train.js');
  const { config } = sweep.runs.find(({ id }) => id === status.id)!;
  const show = await progressWriter(folder, status, 'train');
  const onEvent = (event: TrainEvent) => {
    // The first step's time is the compiler's.
    if (event.type === 'logged' && 'tokens_per_second' in event.row && event.row.step > 1) {
      status.tokensPerSecond = event.row.tokens_per_second;
    }
    if (event.type === 'step') {
      const { tokens: done, totalTokens: total } = event;
      show({ done, total, unit: 'tokens', perSecond: status.tokensPerSecond });
    }
    onTrainEvent?.(event);
  };
  const out = sweepPaths(folder).run(status.id);
  const { tensorboard } = sweep;
  try {
    const result = await train(config, { out, resume: true, signal, commandLine, tensorboard, onEvent });
    if (result.status === 'interrupted') {
      throw interruptedError(`${printable(status.id)}: interrupted and saved at step ${result.step}.`, {
        code: 'interrupted',
      });
    }
  } finally {
    await show.settled();
  }
};

const measureStage: Work = async (folder, sweep, status, { signal }) => {
  const [{ measureRun }, { readRunConfig }] = await Promise.all([
    import('./measure-run.js'),
    import('../training/run-folder.js'),
  ]);
  const run = sweepPaths(folder).run(status.id);
  const show = await progressWriter(folder, status, 'measure');
  const began = performance.now();
  try {
    await measureRun(run, await readRunConfig(run), sweep.measure, {
      signal,
      onProgress: ({ done, total, unit }) => {
        const seconds = (performance.now() - began) / 1000;
        show({ done, total, unit, perSecond: done > 0 ? done / seconds : null });
      },
    });
  } finally {
    await show.settled();
  }
  status.measured = measureHash(sweep);
};

const STAGE_WORK: Record<Stage, Work> = { train: trainStage, measure: measureStage };

/** Writes progress into the status file, one write at a time and none too often. */
async function progressWriter(folder: string, status: RunStatus, stage: Stage) {
  Object.assign(status, { stage, progress: null });
  await writeStatus(folder, status);
  const before = status.seconds[stage];
  const began = performance.now();
  const count = () => {
    status.seconds[stage] = before + (performance.now() - began) / 1000;
  };
  let last = began;
  let writing: Promise<void> = Promise.resolve();
  const show = (progress: NonNullable<RunStatus['progress']>) => {
    status.progress = progress;
    if (performance.now() - last < PROGRESS_MS) return;
    last = performance.now();
    count();
    // A full disk is the stage's own to report.
    writing = writing.then(() => writeStatus(folder, status)).catch(() => undefined);
  };
  const settled = () => {
    count();
    return writing;
  };
  return Object.assign(show, { settled });
}

function reasonOf(error: unknown): Reason {
  if (error instanceof SparselawError) {
    const { code, message, exitStatus } = error;
    return { code, message, exitStatus };
  }
  return {
    code: 'internal',
    message: error instanceof Error ? error.message : String(error),
    exitStatus: EXIT.bug,
  };
}
