import { Args } from '@oclif/core';
import type { Verification } from '../../src/checkpoint/verify.js';
import { inputError } from '../../src/errors.js';
import { BaseCommand } from '../_base.js';

export default class CheckpointVerify extends BaseCommand<typeof CheckpointVerify> {
  static override summary =
    'Check that checkpoints are whole, finite, distinct and descend from their parents.';
  static override description =
    'Compares every file and tensor with the hash written when it was saved and names what differs. ' +
    'A run folder stands for all its checkpoints. Exit status 3 if anything is wrong.';
  static override examples = [
    { description: 'A whole run', command: '<%= config.bin %> <%= command.id %> runs/relu' },
    {
      description: 'One checkpoint',
      command: '<%= config.bin %> <%= command.id %> runs/relu/checkpoints/000000001048576',
    },
  ];
  static override args = {
    checkpoint: Args.string({
      description: 'A checkpoint folder or a run folder; several may be given.',
      required: true,
      multiple: true,
    }),
  };

  async run(): Promise<{ checkpoints: Verification[] }> {
    const [{ verifyCheckpoints }, { listCheckpoints }] = await Promise.all([
      import('../../src/checkpoint/verify.js'),
      import('../../src/files/run.js'),
    ]);
    const { isForeign } = await import('../../src/checkpoint/summary.js');
    const paths: string[] = [];
    for (const target of this.args.checkpoint) {
      if (isForeign(target) && !(await listCheckpoints(target)).length) {
        throw inputError(
          `${target} holds no hashes to compare with: only checkpoints of ours have a state.json.`,
          {
            code: 'foreign-checkpoint',
            suggestions: [`sparselaw checkpoint show ${target}`],
          },
        );
      }
      const inside = await listCheckpoints(target);
      paths.push(...(inside.length > 0 ? inside.map(({ path }) => path) : [target]));
    }
    const checkpoints = await verifyCheckpoints(paths);
    const lines = checkpoints.flatMap(({ path, problems }) =>
      problems.map(({ file, tensor, message }) =>
        // What could not be read says itself which file that is.
        message.includes(`/${file}`) ? message : [path, ...placeOf(file, tensor), message].join(': '),
      ),
    );
    if (lines.length > 0) {
      throw inputError(`${lines[0]}${lines.length > 1 ? ` (and ${lines.length - 1} more)` : ''}`, {
        code: 'damaged-checkpoint',
        suggestions: lines.slice(1, 10),
      });
    }
    for (const { path, resumable } of checkpoints)
      this.log(`${path}: whole${resumable ? ', resumable' : ''}`);
    return { checkpoints };
  }
}

/** Where in a checkpoint a problem is; nothing for the folder itself. */
const placeOf = (file: string, tensor: string | undefined): string[] =>
  file === '.' ? [] : [tensor ? `${file}, tensor ${tensor}` : file];
