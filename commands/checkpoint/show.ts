import { Args } from '@oclif/core';
import type { CheckpointDetails } from '../../src/checkpoint/summary.js';
import { BaseCommand } from '../_base.js';

export default class CheckpointShow extends BaseCommand<typeof CheckpointShow> {
  static override summary = 'Show what a checkpoint is: model, parameters by group, place in training, hash.';
  static override examples = [
    {
      description: 'One checkpoint',
      command: '<%= config.bin %> <%= command.id %> runs/relu/checkpoints/000000001048576',
    },
  ];
  static override args = {
    checkpoint: Args.string({ description: 'The checkpoint folder.', required: true }),
  };

  async run(): Promise<{ checkpoints: CheckpointDetails[] }> {
    const { describeCheckpoint } = await import('../../src/checkpoint/summary.js');
    const details = await describeCheckpoint(this.args.checkpoint);
    const { shape, parameters, path: _, ...rest } = details;
    const groups = Object.entries(parameters).map(([group, count]) => [`parameters, ${group}`, count]);
    const rows = [...Object.entries(rest), ...Object.entries(shape), ...groups];
    const width = Math.max(...rows.map(([name]) => String(name).length));
    for (const [name, value] of rows) this.log(`${String(name).padEnd(width)}  ${value ?? ''}`);
    return { checkpoints: [details] };
  }
}
