import { Args, Flags } from '@oclif/core';
import type { ExportResult } from '../src/downstream/export.js';
import { BaseCommand } from './_base.js';

export default class Export extends BaseCommand<typeof Export> {
  static override summary = 'Write thresholds per neuron, and a hook that applies them in transformers.';
  static override description =
    'CHECKPOINT is a checkpoint of ours (a run stands for its last) or a Hugging Face folder; the measurement must be of ' +
    'the same weights and of pplp, cett, global or zero. DIR receives thresholds.safetensors (one float32 vector ' +
    'a layer: a neuron is weak where |h| < eps_l / ‖w‖), sparse_hook.py and a README.md that shows both in ' +
    'transformers, lm-evaluation-harness and TransformerLens.';
  static override examples = [
    {
      description: 'From a measurement of a run',
      command:
        '<%= config.bin %> <%= command.id %> runs/relu --from runs/relu/sparsity/000000000200704.pplp.1a2b3c4d5e6f.json --out exported',
    },
    {
      description: "From one of anyone's checkpoint, measured with --out measured",
      command:
        '<%= config.bin %> <%= command.id %> models/pythia-14m --from measured/pythia-14m.pplp.1a2b3c4d5e6f.json --out exported',
    },
  ];
  static override args = {
    checkpoint: Args.string({ description: 'Checkpoint, run or Hugging Face folder.', required: true }),
  };
  static override flags = {
    from: Flags.string({
      summary: 'Measurement whose thresholds are exported.',
      helpValue: 'FILE.json',
      required: true,
    }),
    out: Flags.string({ char: 'o', summary: 'Folder to make.', helpValue: 'DIR', required: true }),
  };

  async run(): Promise<ExportResult> {
    const { exportThresholds } = await import('../src/downstream/export.js');
    const { from, out } = this.flags;
    const result = await exportThresholds(this.args.checkpoint, from, out);
    for (const note of result.notes) this.notice(note);
    this.log(
      `${result.path}: thresholds of ${result.layers} × ${result.neurons} neurons (${result.setting}, ` +
        `activation ratio ${result.activationRatio.toFixed(5)})`,
    );
    return result;
  }
}
