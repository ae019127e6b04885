import type { EngineBenchmark } from '../../src/engine/xla/bench.js';
import { BaseCommand } from '../_base.js';
import { engineFlags } from '../_flags.js';

export default class EngineBench extends BaseCommand<typeof EngineBench> {
  static override summary = 'Measure the XLA plugin: matrix products, compilation, overhead of a call.';
  static override description =
    'Takes some seconds. Figures are medians; run it on a quiet machine, and name the machine when you quote them.';
  static override examples = [
    { description: 'The plugin that training would use', command: '<%= config.bin %> <%= command.id %>' },
    {
      description: 'One figure for a script',
      command: "<%= config.bin %> <%= command.id %> --json | jq '.engines[0].matmulGflops'",
    },
  ];
  static override flags = { device: engineFlags.device };

  async run(): Promise<{ engines: EngineBenchmark[] }> {
    const { findPlugin } = await import('../../src/engine/install/index.js');
    const { benchmarkPlugin } = await import('../../src/engine/xla/bench.js');
    const found = await findPlugin(this.flags.device ?? 'cpu');
    const result = await benchmarkPlugin(found);
    const { default: CliTable } = await import('cli-table3');
    const table = new CliTable({ style: { head: [], border: [] } });
    table.push(
      ['plugin', result.plugin],
      ['device', result.device],
      ['matrix product, float32', `${result.matmulGflops.toFixed(1)} GFLOP/s`],
      ['open', `${result.openSeconds.toFixed(2)} s`],
      ['compile', `${result.compileSeconds.toFixed(3)} s`],
      ['compile, cached', `${result.cachedCompileSeconds.toFixed(3)} s`],
      ['host overhead of a call', `${result.hostOverheadMilliseconds.toFixed(3)} ms`],
    );
    this.log(table.toString());
    return { engines: [result] };
  }
}
