import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { pathExists } from '../../io/exists.js';
import { appendJsonl, readJsonl } from '../../io/jsonl.js';
import { sweepPaths } from '../paths.js';

const execute = promisify(execFile);

/** A line of slurm/jobs.jsonl: one array of jobs that was submitted. */
const submissionSchema = z.object({
  job: z.string(),
  stage: z.enum(['train', 'measure', 'finish']),
  /** Run of each task, the first being task 1; empty for a job that is no array. */
  ids: z.array(z.string()),
  submittedAt: z.string(),
});
export type Submission = z.infer<typeof submissionSchema>;

export const recordSubmission = (folder: string, submission: Submission): Promise<void> =>
  appendJsonl(sweepPaths(folder).jobs, [submission]);

/**
 * The last job of each run that was submitted. `waits`: whether Slurm still has a job for it, waiting or running;
 * undefined where `squeue` cannot be asked.
 */
export async function jobsOf(
  folder: string,
): Promise<Map<string, { name: string; waits: boolean | undefined }>> {
  const { jobs: path } = sweepPaths(folder);
  const jobs = new Map<string, { name: string; waits: boolean | undefined }>();
  if (!(await pathExists(path))) return jobs;
  const { rows } = await readJsonl(path, submissionSchema);
  const queue = await queuedTasks();
  for (const { job, ids } of rows) {
    for (const [index, id] of ids.entries()) {
      const name = `${job}_${index + 1}`;
      const waits = queue?.has(name);
      // Of a train and a measure job, the one that still waits counts.
      if (!jobs.get(id)?.waits || waits) jobs.set(id, { name, waits });
    }
  }
  return jobs;
}

/** The tasks Slurm has not finished, as `JOB_TASK`; undefined where it cannot be asked. */
async function queuedTasks(): Promise<Set<string> | undefined> {
  try {
    // One task a line, whatever the version: its JSON has changed its form.
    const { stdout } = await execute('squeue', ['--noheader', '--array', '--format=%F_%K %T'], {
      timeout: 20_000,
      maxBuffer: 2 ** 26,
    });
    const lines = stdout.split('\n').filter((line) => line.trim() !== '');
    return new Set(lines.map((line) => line.trim().split(' ')[0]!));
  } catch {
    return undefined;
  }
}
