import { parentPort } from 'node:worker_threads';
import type { Fit } from '../files/fit.js';
import { findLaw } from '../laws/index.js';
import type { Law } from '../laws/law.js';
import { type BootstrapPart, type BootstrapTask, bootstrapPart } from './bootstrap.js';
import { fitLaw } from './fit-law.js';
import type { FitOptions } from './options.js';
import type { Series } from './series.js';

/** One piece of work, small enough to send to a thread. */
export type Job =
  | { kind: 'fit'; law: string; series: Series; options: FitOptions }
  | { kind: 'bootstrap'; law: string; task: BootstrapTask };

export type JobResult = Fit | BootstrapPart;

export function lawById(id: string): Law {
  const law = findLaw(id);
  if (!law) throw new RangeError(`No law "${id}".`);
  return law;
}

/** Does one job; pure, so that its result does not depend on the thread. */
export function work(job: Job): JobResult {
  return job.kind === 'fit'
    ? fitLaw(lawById(job.law), job.series, job.options)
    : bootstrapPart(lawById(job.law), job.task);
}

// Loaded as a worker: answer jobs one at a time.
parentPort?.on('message', ({ id, job }: { id: number; job: Job }) => {
  try {
    parentPort!.postMessage({ id, result: work(job) });
  } catch (error) {
    parentPort!.postMessage({ id, error: String(error) });
  }
});
