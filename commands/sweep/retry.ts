import { Args } from '@oclif/core';
import type { RunView } from '../../src/sweep/status.js';
import { BaseCommand } from '../_base.js';
import { executorFlags, workOn } from './_executor.js';
import { statusTable, sweepProgress } from './_view.js';

export default class SweepRetry extends BaseCommand<typeof SweepRetry> {
  static override summary = 'Run the failed runs of a sweep again.';
  static override description =
    'What a failed run has trained and measured is kept: it goes on from its last checkpoint. Runs that did not fail ' +
    'are left alone; `sweep run` goes on with those.';
  static override examples = [
    { description: 'All that failed', command: '<%= config.bin %> <%= command.id %> study' },
    {
      description: 'One of them',
      command: '<%= config.bin %> <%= command.id %> study relu-d64-l2-0123456789',
    },
  ];
  static override args = {
    sweep: Args.string({ required: true, description: 'Folder of the sweep.' }),
    run: Args.string({ multiple: true, description: 'Failed runs to retry; all of them without.' }),
  };
  static override flags = { ...executorFlags };

  async run(): Promise<{ runs: RunView[] }> {
    const [{ readSweep }, { clearFailures }, { checkRuns }] = await Promise.all([
      import('../../src/sweep/sweep-file.js'),
      import('../../src/sweep/run-sweep.js'),
      import('../../src/sweep/check-runs.js'),
    ]);
    const folder = this.args.sweep;
    const sweep = await readSweep(folder);
    await checkRuns(folder, sweep);
    const signal = this.interruption();
    const progress = this.progress();
    const ids = await clearFailures(folder, sweep, this.args.run?.length ? this.args.run : undefined);
    this.notice(ids.length === 0 ? `${folder}: no run failed.` : `Retrying ${ids.join(', ')}.`);
    const { views, status } = await workOn(folder, sweep, ids, this.flags, {
      signal,
      notice: (message) => this.notice(message),
      onChange: (now) => progress(sweepProgress(now)),
    });
    this.log(await statusTable(views));
    process.exitCode = status;
    return { runs: views };
  }
}
