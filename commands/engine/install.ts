import { Args, Flags } from '@oclif/core';
import type { PluginStatus } from '../../src/engine/install/index.js';
import { BaseCommand } from '../_base.js';

export default class EngineInstall extends BaseCommand<typeof EngineInstall> {
  static override summary =
    'Install what an engine runs on: a PJRT plugin for xla, TensorFlow for tensorflow.';
  static override description =
    'Python’s pip downloads the pinned wheels (python3 with pip is needed for that; its mirrors and proxies hold), ' +
    'and npm the JavaScript of tfjs-node-gpu for tensorflow; hashes are checked, and all of it moves into ' +
    '$SPARSELAW_CACHE_DIR, else the user’s cache folder. Nothing is compiled, and node_modules stays as it is. ' +
    'Where it is installed already, nothing happens; an interrupted one goes on after its last whole wheel.';
  static override examples = [
    { description: 'For the processor', command: '<%= config.bin %> <%= command.id %> xla-cpu' },
    { description: 'TensorFlow, 274 MB', command: '<%= config.bin %> <%= command.id %> tensorflow' },
    {
      description: 'From a wheel downloaded elsewhere',
      command:
        '<%= config.bin %> <%= command.id %> xla-cpu --from lammps_jax_pjrt_cpu-0.11.2-py3-none-manylinux_2_27_x86_64.whl',
    },
  ];
  static override args = {
    name: Args.string({ description: 'A name of `engine list`.', required: true }),
  };
  static override flags = {
    from: Flags.string({
      summary:
        'A wheel file, or a folder of wheels (and npm’s archive), to install without network or Python.',
      helpValue: 'WHEEL',
    }),
  };

  async run(): Promise<{ engines: PluginStatus[] }> {
    const { installPlugin, listPlugins } = await import('../../src/engine/install/index.js');
    await installPlugin(this.args.name, {
      from: this.flags.from,
      onProgress: this.progress(),
      signal: this.interruption(),
    });
    const engines = (await listPlugins()).filter(({ name }) => name === this.args.name);
    for (const each of engines) this.log(`${each.name} ${each.version} is ready: ${each.path}`);
    return { engines };
  }
}
