import { Args } from '@oclif/core';
import type { CheckpointSummary } from '../../src/checkpoint/summary.js';
import { BaseCommand } from '../_base.js';
import { formatBytes, formatCount } from '../_progress.js';
import { drawTable } from '../_table.js';

export default class CheckpointList extends BaseCommand<typeof CheckpointList> {
  static override summary = "List a run's checkpoints.";
  static override description =
    'Steps, tokens, phase of the learning rate, validation loss, and whether training can go on from there.';
  static override examples = [
    { description: 'What a run has saved', command: '<%= config.bin %> <%= command.id %> runs/relu' },
    {
      description: 'Paths for a script',
      command: "<%= config.bin %> <%= command.id %> runs/relu --json | jq -r '.checkpoints[].path'",
    },
  ];
  static override args = { run: Args.string({ description: 'The run folder.', required: true }) };

  async run(): Promise<{ checkpoints: CheckpointSummary[] }> {
    const { summarizeRun } = await import('../../src/checkpoint/summary.js');
    const checkpoints = await summarizeRun(this.args.run);
    const rows = checkpoints.map((each) => [
      each.checkpoint,
      each.step,
      formatCount(each.tokens),
      each.phase,
      each.validationLossNatsPerToken?.toFixed(4) ?? '',
      each.resumable ? 'yes' : '',
      formatBytes(each.bytes),
    ]);
    const head = ['checkpoint', 'step', 'tokens', 'phase', 'validation loss', 'resumable', 'size'];
    this.log(await drawTable(head, rows));
    return { checkpoints };
  }
}
