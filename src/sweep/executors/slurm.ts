import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { engineError } from '../../errors.js';
import { writeFileAtomic } from '../../io/atomic.js';
import { withFile } from '../../io/file-error.js';
import { makeFolder } from '../../io/make-folder.js';
import { printable } from '../../io/printable.js';
import { finishCommands } from '../finish.js';
import { sweepPaths } from '../paths.js';
import type { Stage } from '../status-file.js';
import type { Sweep } from '../sweep-file.js';
import { recordSubmission, type Submission } from './slurm-queue.js';
import { arrayScript, finishScript } from './slurm-script.js';

const execute = promisify(execFile);

/** Slurm's own default limit is an index below 1001. */
const MAX_ARRAY = 1000;

export interface SlurmOptions {
  program: string;
  /** Most tasks at a time, over the grid's own. */
  throttle?: number;
}

/**
 * Submits the runs as arrays of jobs: training, then measuring (each task after the one that trained its run),
 * then one job for table, fits and report. Returns once Slurm has them.
 * @throws SparselawError (status 4) where `sbatch` is missing or refuses; jobs submitted before stay
 */
export async function submitToSlurm(
  folder: string,
  sweep: Sweep,
  ids: readonly string[],
  { program, throttle }: SlurmOptions,
): Promise<Submission[]> {
  // Before anything is written: where Slurm is missing, nothing happens.
  await sbatch(['--version']);
  const root = resolve(folder);
  const paths = sweepPaths(root);
  const slurm = throttle === undefined ? sweep.slurm : { ...sweep.slurm, throttle };
  await withFile('write', paths.logs, () => makeFolder(paths.logs));
  // Jobs read the files of this name when they begin: two submissions within a second must not share them.
  const stamp = `${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`;
  const common = { cwd: sweep.folder, slurm, program };
  const stages: Stage[] = sweep.measure.length > 0 ? ['train', 'measure'] : ['train'];
  const submissions: Submission[] = [];
  const submit = async (
    submission: Omit<Submission, 'job' | 'submittedAt'>,
    name: string,
    script: string,
    after: string[],
  ) => {
    const path = join(paths.slurm, `${name}.sh`);
    await writeFileAtomic(path, script);
    const job = await sbatch(['--parsable', ...after, path]);
    const done = { ...submission, job, submittedAt: new Date().toISOString() };
    await recordSubmission(root, done);
    submissions.push(done);
    return job;
  };
  const last: string[] = [];
  for (let from = 0; from < ids.length; from += MAX_ARRAY) {
    const part = ids.slice(from, from + MAX_ARRAY);
    const manifest = join(paths.slurm, `${stamp}-${from}.txt`);
    await writeFileAtomic(manifest, `${part.join('\n')}\n`);
    let before: string | undefined;
    for (const stage of stages) {
      const log = join(paths.logs, 'slurm-%A_%a.log');
      const name = `sparselaw-${stage}`;
      const script = arrayScript({ ...common, name, log, stage, manifest, tasks: part.length, folder: root });
      // A task is measured once its own training has ended well; where it never does, its job leaves the queue.
      const after = before ? [`--dependency=aftercorr:${before}`, '--kill-on-invalid-dep=yes'] : [];
      before = await submit({ stage, ids: part }, `${stamp}-${from}-${stage}`, script, after);
    }
    last.push(before!);
  }
  const commands = finishCommands(root, sweep);
  if (commands.length > 0) {
    const log = join(paths.logs, 'slurm-%j.log');
    const script = finishScript({ ...common, name: 'sparselaw-finish', log }, commands);
    const after = [`--dependency=afterany:${last.join(':')}`];
    await submit({ stage: 'finish', ids: [] }, `${stamp}-finish`, script, after);
  }
  return submissions;
}

/** @returns what `sbatch` printed; with --parsable a job's number */
async function sbatch(args: string[]): Promise<string> {
  try {
    const { stdout } = await execute('sbatch', args);
    return stdout.trim().split(';')[0]!;
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT') {
      throw engineError('Slurm is not here: there is no program sbatch on the PATH.', {
        code: 'no-sbatch',
        suggestions: [
          'Run on a login node of the cluster, or load its module.',
          'Run on this machine: --executor local.',
        ],
      });
    }
    const said = (stderr ?? String(error)).trim().split('\n').at(-1)!;
    throw engineError(`Slurm refused the job: ${printable(said)}`, { code: 'slurm', cause: error });
  }
}
