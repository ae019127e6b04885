import { Args } from '@oclif/core';
import type { PluginStatus } from '../../src/engine/install/index.js';
import { BaseCommand } from '../_base.js';

export default class EngineRemove extends BaseCommand<typeof EngineRemove> {
  static override summary = 'Delete what `engine install` has installed.';
  static override description = 'A process that runs on it goes on; the next one no longer finds it.';
  static override examples = [
    { description: 'Delete the CPU plugin', command: '<%= config.bin %> <%= command.id %> xla-cpu' },
  ];
  static override args = {
    name: Args.string({ description: 'A name of `engine list`.', required: true }),
  };

  async run(): Promise<{ engines: PluginStatus[] }> {
    const { listPlugins, removePlugin } = await import('../../src/engine/install/index.js');
    const removed = await removePlugin(this.args.name);
    this.log(removed ? `${this.args.name} was removed.` : `${this.args.name} was not installed.`);
    return { engines: (await listPlugins()).filter(({ name }) => name === this.args.name) };
  }
}
