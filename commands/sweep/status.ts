import { Args } from '@oclif/core';
import type { RunView } from '../../src/sweep/status.js';
import { BaseCommand } from '../_base.js';
import { statusTable } from './_view.js';

export default class SweepStatus extends BaseCommand<typeof SweepStatus> {
  static override summary = 'Show how far every run of a sweep is.';
  static override description =
    'Reads the sweep’s own files, also while it runs, from any machine that sees the folder. pending: not begun; ' +
    'queued: a job of the cluster; stopped: begun, and nobody works on it now; trained: to be measured; failed: ' +
    'with the reason, until `sweep retry`. Progress and time left count training and measuring, weighted by the ' +
    'seconds that runs measured before took for each; equally as long as there are none.';
  static override examples = [
    { description: 'One table', command: '<%= config.bin %> <%= command.id %> study' },
    { description: 'For a script', command: '<%= config.bin %> <%= command.id %> study --json' },
  ];
  static override args = { sweep: Args.string({ required: true, description: 'Folder of the sweep.' }) };

  async run(): Promise<{ runs: RunView[] }> {
    const [{ readSweep }, { sweepStatus }] = await Promise.all([
      import('../../src/sweep/sweep-file.js'),
      import('../../src/sweep/status.js'),
    ]);
    const folder = this.args.sweep;
    const runs = await sweepStatus(folder, await readSweep(folder));
    this.log(await statusTable(runs));
    return { runs };
  }
}
