import { join } from 'node:path';

/** Where everything of a sweep lies. */
export function sweepPaths(sweep: string) {
  return {
    sweep: join(sweep, 'sweep.json'),
    /** Held while sweep.json is planned and written. */
    lock: join(sweep, '.sweep.lock'),
    runs: join(sweep, 'runs'),
    run: (id: string) => join(sweep, 'runs', id),
    statuses: join(sweep, 'status'),
    status: (id: string) => join(sweep, 'status', `${id}.json`),
    /** Held by the process that works on the run, from its first step to its last measurement. */
    runLock: (id: string) => join(sweep, 'status', `${id}.lock`),
    logs: join(sweep, 'logs'),
    log: (id: string) => join(sweep, 'logs', `${id}.log`),
    slurm: join(sweep, 'slurm'),
    jobs: join(sweep, 'slurm', 'jobs.jsonl'),
  };
}
