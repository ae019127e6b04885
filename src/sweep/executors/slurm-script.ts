import { shellLine, shellWord } from '../../io/shell.js';
import type { SlurmSettings } from '../grid-schema.js';
import type { Stage } from '../status-file.js';

/** A task that was killed without saying why goes back into the queue at most this often. */
const MAX_RESTARTS = 3;

export interface ArrayScript {
  name: string;
  /** Where the job's output goes, in Slurm's pattern. */
  log: string;
  cwd: string;
  slurm: SlurmSettings;
  stage: Stage;
  /** A file with the id of each task's run, one a line. */
  manifest: string;
  tasks: number;
  folder: string;
  /** The program's executable script. */
  program: string;
}

/**
 * The batch script of an array: task n works on the run in line n of the manifest. Shortly before the time limit
 * Slurm sends USR1; the program then saves, and the task goes back into the queue. So does a task that was
 * killed; one that failed with a reason does not.
 */
export function arrayScript(options: ArrayScript): string {
  const { slurm, stage, manifest, tasks, folder, program } = options;
  const throttle = slurm.throttle ? `%${slurm.throttle}` : '';
  return [
    ...header(options, [
      `--array=1-${tasks}${throttle}`,
      ...(slurm.time === undefined ? [] : [`--signal=B:USR1@${slurm.saveSeconds}`]),
      '--requeue',
    ]),
    `run=$(sed -n "\${SLURM_ARRAY_TASK_ID}p" ${shellWord(manifest)})`,
    `back_to_queue() { scontrol requeue "\${SLURM_ARRAY_JOB_ID}_\${SLURM_ARRAY_TASK_ID}"; }`,
    'late= child=',
    `trap 'late=1; [ -z "$child" ] || kill -TERM "$child"' USR1`,
    `${shellLine([process.execPath, program, 'sweep', 'task', folder])} "$run" --stage ${stage} &`,
    'child=$!',
    '[ -z "$late" ] || kill -TERM "$child"',
    '# A trap ends `wait` early: wait until the program itself has ended.',
    'wait "$child"; status=$?',
    'while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done',
    'if [ -n "$late" ] && [ "$status" -ne 0 ]; then back_to_queue; exit 0; fi',
    `if [ "$status" -gt 128 ] && [ "\${SLURM_RESTART_COUNT:-0}" -lt ${MAX_RESTARTS} ]; then back_to_queue; exit 0; fi`,
    'exit "$status"',
    '',
  ].join('\n');
}

/** The batch script of the table, the fits and the report, each a command of this program. */
export function finishScript(
  options: Pick<ArrayScript, 'name' | 'log' | 'cwd' | 'slurm' | 'program'>,
  commands: readonly (readonly string[])[],
): string {
  const { program } = options;
  const { gres: _, ...slurm } = options.slurm;
  return [
    ...header({ ...options, slurm }, ['--requeue']),
    'status=0',
    // A law that cannot be fitted does not keep the report from being written.
    ...commands.map((words) => `${shellLine([process.execPath, program, ...words])} || status=$?`),
    'exit "$status"',
    '',
  ].join('\n');
}

function header(
  { name, log, cwd, slurm }: Pick<ArrayScript, 'name' | 'log' | 'cwd' | 'slurm'>,
  more: readonly string[],
): string[] {
  const options = [
    `--job-name=${name}`,
    `--output=${log}`,
    '--open-mode=append',
    `--chdir=${cwd}`,
    ...(slurm.partition === undefined ? [] : [`--partition=${slurm.partition}`]),
    ...(slurm.account === undefined ? [] : [`--account=${slurm.account}`]),
    ...(slurm.time === undefined ? [] : [`--time=${slurm.time}`]),
    ...(slurm.gres === undefined ? [] : [`--gres=${slurm.gres}`]),
    ...(slurm.cpusPerTask === undefined ? [] : [`--cpus-per-task=${slurm.cpusPerTask}`]),
    ...(slurm.mem === undefined ? [] : [`--mem=${slurm.mem}`]),
    ...more,
    ...slurm.extra,
  ];
  return [
    '#!/bin/bash',
    // Slurm takes double quotes around what holds spaces, and no other ones.
    ...options.map((option) => `#SBATCH ${/\s/.test(option) ? option.replace(/=(.*)$/, '="$1"') : option}`),
    ...slurm.setup,
  ];
}
