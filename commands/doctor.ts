import { engineError } from '../src/errors.js';
import { BaseCommand } from './_base.js';

export default class Doctor extends BaseCommand<typeof Doctor> {
  static override summary = 'Check what can run here, and say what to do about what cannot.';
  static override description =
    'Looks at Node, the machine, the programs that some commands call, and every engine; runs a small program ' +
    'with its gradients on each engine and compares it with a plain reference. Exit status 4 if nothing can train.';
  static override examples = [
    { description: 'Check this machine', command: '<%= config.bin %> <%= command.id %>' },
    {
      description: 'List what is missing',
      command: '<%= config.bin %> <%= command.id %> --json | jq \'.checks[] | select(.status == "missing")\'',
    },
  ];

  async run(): Promise<{ checks: object[] }> {
    const { canTrain, runChecks } = await import('../src/doctor/checks.js');
    const checks = await runChecks();
    const width = Math.max(...checks.map(({ name }) => name.length));
    for (const { name, status, found, advice } of checks) {
      this.log(`${status.padEnd('warning'.length)}  ${name.padEnd(width)}  ${found}`);
      if (advice !== '') this.log(`${' '.repeat('warning'.length)}  → ${advice}`);
    }
    if (!canTrain(checks)) {
      throw engineError('No engine can train here.', {
        code: 'no-engine',
        suggestions: checks.map(({ advice }) => advice).filter((advice) => advice !== ''),
      });
    }
    return { checks };
  }
}
