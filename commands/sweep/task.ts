import { Args, Flags } from '@oclif/core';
import { STAGES } from '../../src/sweep/status-file.js';
import { BaseCommand } from '../_base.js';

interface TaskResult {
  id: string;
  outcome: string;
}

export default class SweepTask extends BaseCommand<typeof SweepTask> {
  static override hidden = true;
  static override summary = 'Work on one run of a sweep; what `sweep run` starts.';
  static override examples = [
    { description: 'By hand', command: '<%= config.bin %> <%= command.id %> study relu-d64-l2-0123456789' },
  ];
  static override args = {
    sweep: Args.string({ required: true, description: 'Folder of the sweep.' }),
    run: Args.string({ required: true, description: 'Name of the run.' }),
  };
  static override flags = {
    stage: Flags.option({ options: STAGES })({ summary: 'Only train, or only measure; default: both.' }),
  };

  async run(): Promise<TaskResult> {
    const [{ readSweep }, { runTask }, { resolve }] = await Promise.all([
      import('../../src/sweep/sweep-file.js'),
      import('../../src/sweep/task.js'),
      import('node:path'),
    ]);
    const folder = resolve(this.args.sweep);
    const sweep = await readSweep(folder);
    // The corpus of a run is named from where the sweep was begun.
    process.chdir(sweep.folder);
    const { SLURM_JOB_ID, SLURM_ARRAY_JOB_ID, SLURM_ARRAY_TASK_ID } = process.env;
    const job = SLURM_ARRAY_JOB_ID ? `${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}` : SLURM_JOB_ID;
    const id = this.args.run;
    const outcome = await runTask(folder, sweep, id, {
      stages: this.flags.stage ? [this.flags.stage] : STAGES,
      signal: this.interruption(),
      commandLine: process.argv.slice(2),
      ...(job ? { job } : {}),
      onTrainEvent: (event) => {
        if (event.type === 'warning') this.notice(event.message);
        if (event.type === 'resume') this.notice(`${id}: continuing after step ${event.step}`);
        if (event.type === 'start') {
          this.notice(`${id}: ${event.engine} (${event.precision}) on ${event.deviceDescription}`);
        }
      },
      onWait: ({ pid, host }) => this.notice(`${id}: waiting for process ${pid} on ${host}`),
    });
    this.log(`${id}: ${outcome}`);
    return { id, outcome };
  }
}
