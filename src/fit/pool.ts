import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Job, JobResult } from './work.js';

/** Threads load in about 100 ms each: less work than this many milliseconds is done here. */
const WORTH_A_THREAD_MS = 400;

export interface PoolOptions {
  /** Threads to use; all cores when absent. 1 works in this thread. */
  threads?: number;
  /** Rough cost of one job. */
  jobMs: number;
  onDone?: (done: number) => void;
  signal?: AbortSignal;
}

interface Reply {
  id: number;
  result?: JobResult;
  error?: string;
}

/**
 * Runs jobs on worker threads, results in the jobs' order. Threads run compiled JavaScript; loaded from TypeScript
 * sources (under a test runner), everything is done in this thread instead.
 */
export async function runJobs(
  jobs: readonly Job[],
  { threads = availableParallelism(), jobMs, onDone, signal }: PoolOptions,
): Promise<JobResult[]> {
  const url = new URL('./work.js', import.meta.url);
  const compiled = import.meta.url.endsWith('.js');
  const count = Math.min(threads, jobs.length);
  if (!compiled || count <= 1 || jobs.length * jobMs < WORTH_A_THREAD_MS) {
    return runHere(jobs, onDone, signal);
  }
  const results = new Array<JobResult>(jobs.length);
  let next = 0;
  let done = 0;
  const serve = (worker: Worker) =>
    new Promise<void>((resolve, reject) => {
      const give = () => {
        if (signal?.aborted) return reject(signal.reason);
        if (next >= jobs.length) return resolve();
        const id = next++;
        worker.postMessage({ id, job: jobs[id] });
      };
      worker.on('message', ({ id, result, error }: Reply) => {
        if (error !== undefined || !result) return reject(new Error(error ?? 'A worker sent nothing.'));
        results[id] = result;
        onDone?.(++done);
        give();
      });
      worker.on('error', reject);
      give();
    });
  const workers = Array.from({ length: count }, () => new Worker(url));
  try {
    await Promise.all(workers.map(serve));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return results;
}

async function runHere(jobs: readonly Job[], onDone?: (done: number) => void, signal?: AbortSignal) {
  const { work } = await import('./work.js');
  const results: JobResult[] = [];
  for (const job of jobs) {
    signal?.throwIfAborted();
    results.push(work(job));
    onDone?.(results.length);
    // Let a Ctrl-C and the progress line through.
    if (results.length % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return results;
}
