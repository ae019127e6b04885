import type { PluginStatus } from '../../src/engine/install/index.js';
import { BaseCommand } from '../_base.js';
import { formatBytes } from '../_progress.js';
import { drawTable } from '../_table.js';

export default class EngineList extends BaseCommand<typeof EngineList> {
  static override summary = 'List what the engines xla and tensorflow run on, and what of it is installed.';
  static override description =
    'What is installed is compared with the pinned SHA-256 (again only where its file has changed; `doctor` always ' +
    'reads it whole). The engine wasm needs nothing of it.';
  static override examples = [
    { description: 'What can run here', command: '<%= config.bin %> <%= command.id %>' },
    {
      description: 'Path of the installed CPU plugin',
      command: "<%= config.bin %> <%= command.id %> --json | jq -r '.engines[0].path'",
    },
  ];

  async run(): Promise<{ engines: PluginStatus[] }> {
    const { listPlugins } = await import('../../src/engine/install/index.js');
    const engines = await listPlugins();
    const rows = engines.map((each) => [
      each.name,
      each.device,
      each.status,
      each.version,
      each.downloadBytes > 0 ? formatBytes(each.downloadBytes) : '',
      each.problem ?? each.summary,
    ]);
    this.log(await drawTable(['name', 'device', 'status', 'version', 'download', 'what'], rows));
    const named = process.env.SPARSELAW_PJRT_PLUGIN;
    if (named) this.log(`SPARSELAW_PJRT_PLUGIN names ${named}: it is taken before all of these.`);
    const { ownPackages } = await import('../../src/engine/tensorflow/find.js');
    for (const { name, version, folder } of ownPackages()) {
      this.log(`${name} ${version} in ${folder} is used where no tensorflow of these is installed.`);
    }
    return { engines };
  }
}
