import { Args } from '@oclif/core';
import type { CheckpointDetails, ForeignDetails } from '../../src/checkpoint/summary.js';
import { BaseCommand } from '../_base.js';

export default class CheckpointShow extends BaseCommand<typeof CheckpointShow> {
  static override summary = 'Show what a checkpoint is: model, parameters by group, place in training, hash.';
  static override examples = [
    {
      description: 'One checkpoint',
      command: '<%= config.bin %> <%= command.id %> runs/relu/checkpoints/000000001048576',
    },
    {
      description: "What is understood of anyone's checkpoint",
      command: '<%= config.bin %> <%= command.id %> models/pythia-14m',
    },
  ];
  static override args = {
    checkpoint: Args.string({
      description:
        'The checkpoint folder, ours or a Hugging Face folder; a run stands for its last checkpoint.',
      required: true,
    }),
  };

  async run(): Promise<{ checkpoints: (CheckpointDetails | ForeignDetails)[] }> {
    const { describeCheckpoint, describeForeign, isForeign } = await import(
      '../../src/checkpoint/summary.js'
    );
    const { listCheckpoints } = await import('../../src/files/run.js');
    const checkpoint = (await listCheckpoints(this.args.checkpoint)).at(-1)?.path ?? this.args.checkpoint;
    if (isForeign(checkpoint)) {
      const details = await describeForeign(checkpoint);
      const { path: _, description, ...rest } = details;
      this.list([...Object.entries(rest), ...Object.entries(description)]);
      return { checkpoints: [details] };
    }
    const details = await describeCheckpoint(checkpoint);
    const { shape, parameters, path: _, ...rest } = details;
    const groups = Object.entries(parameters).map(([group, count]) => [`parameters, ${group}`, count]);
    this.list([...Object.entries(rest), ...Object.entries(shape), ...groups]);
    return { checkpoints: [details] };
  }

  private list(rows: readonly (readonly unknown[])[]): void {
    const width = Math.max(...rows.map(([name]) => String(name).length));
    for (const [name, value] of rows) this.log(`${String(name).padEnd(width)}  ${value ?? ''}`);
  }
}
