import { Flags } from '@oclif/core';
import type { EagerBenchmark } from '../../src/engine/eager-bench.js';
import type { EngineBenchmark } from '../../src/engine/xla/bench.js';
import { BaseCommand } from '../_base.js';
import { engineFlags } from '../_flags.js';
import { drawTable } from '../_table.js';

export default class EngineBench extends BaseCommand<typeof EngineBench> {
  static override summary =
    'Measure an engine: matrix products, a training step, and what a call costs the host.';
  static override description =
    'Takes some seconds. Figures are medians; run it on a quiet machine, and name the machine when you quote them.';
  static override examples = [
    { description: 'The plugin that xla would use', command: '<%= config.bin %> <%= command.id %>' },
    {
      description: 'TensorFlow on a GPU, in its own arithmetic',
      command: '<%= config.bin %> <%= command.id %> --engine tensorflow --device cuda --precision tf32',
    },
    {
      description: 'One figure for a script',
      command: "<%= config.bin %> <%= command.id %> --json | jq '.engines[0].matmulGflops'",
    },
  ];
  static override flags = {
    engine: Flags.option({ options: ['xla', 'tensorflow', 'wasm'] as const })({
      summary: 'What to measure.',
      default: 'xla',
    }),
    device: engineFlags.device,
    precision: engineFlags.precision,
  };

  async run(): Promise<{ engines: (EngineBenchmark | EagerBenchmark)[] }> {
    const { engine } = this.flags;
    const { result, rows } = engine === 'xla' ? await this.plugin() : await this.opByOp(engine);
    this.log(await drawTable([], rows));
    return { engines: [result] };
  }

  private async plugin() {
    const { findPlugin } = await import('../../src/engine/install/index.js');
    const { benchmarkPlugin } = await import('../../src/engine/xla/bench.js');
    const result = await benchmarkPlugin(await findPlugin(this.flags.device ?? 'cpu'));
    const rows = [
      ['plugin', result.plugin],
      ['device', result.device],
      ['matrix product, float32', `${result.matmulGflops.toFixed(1)} GFLOP/s`],
      ['open', `${result.openSeconds.toFixed(2)} s`],
      ['compile', `${result.compileSeconds.toFixed(3)} s`],
      ['compile, cached', `${result.cachedCompileSeconds.toFixed(3)} s`],
      ['host overhead of a call', `${result.hostOverheadMilliseconds.toFixed(3)} ms`],
      stepRow(result.step),
    ];
    return { result, rows };
  }

  private async opByOp(engine: 'tensorflow' | 'wasm') {
    const { benchmarkEager } = await import('../../src/engine/eager-bench.js');
    const { device, precision } = this.flags;
    const result = await benchmarkEager(engine, { device, precision });
    const versions = Object.entries(result.versions).map(([name, version]) => `${name} ${version}`);
    const rows = [
      ['engine', `${result.name} (${versions.join(', ')})`],
      ['device', result.device],
      [`matrix product, ${result.precision}`, `${result.matmulGflops.toFixed(1)} GFLOP/s`],
      ['open', `${result.openSeconds.toFixed(2)} s`],
      ['an op on 16 floats', `${result.opMicroseconds.toFixed(1)} µs`],
      stepRow(result.step),
    ];
    return { result, rows };
  }
}

const stepRow = ({ what, milliseconds, gflops }: EngineBenchmark['step']): string[] => [
  'training step',
  `${milliseconds.toFixed(2)} ms, ${gflops.toFixed(1)} GFLOP/s (${what})`,
];
