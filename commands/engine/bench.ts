import { Flags } from '@oclif/core';
import type { EagerBenchmark } from '../../src/engine/eager-bench.js';
import type { EngineBenchmark } from '../../src/engine/xla/bench.js';
import { type Cut, KERNEL_KINDS } from '../../src/engine/xla/kernel-choice.js';
import type { TunedKernels } from '../../src/training/tune-kernels.js';
import { BaseCommand } from '../_base.js';
import { engineFlags, numberFlag } from '../_flags.js';
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
      description: "Which kernels of our own pay on this GPU, for a run's shapes; later runs take those",
      command: '<%= config.bin %> <%= command.id %> --tune --config runs/relu/config.json',
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
    tune: Flags.boolean({
      summary:
        'Measure a training step with and without each kernel of our own, and keep what pays (one GPU, bfloat16).',
      dependsOn: ['config'],
    }),
    config: Flags.string({
      char: 'c',
      summary: 'The run to tune for: its configuration, YAML or JSON.',
      helpValue: 'FILE',
      dependsOn: ['tune'],
    }),
    seconds: numberFlag({
      summary: 'How long each form of the step is measured, in seconds; default 1.',
      min: 0.1,
      dependsOn: ['tune'],
    }),
  };

  async run(): Promise<{ engines: (EngineBenchmark | EagerBenchmark)[] } | { tuned: TunedKernels }> {
    const { engine } = this.flags;
    if (this.flags.tune) return { tuned: await this.tune(this.flags.config!) };
    const { result, rows } = engine === 'xla' ? await this.plugin() : await this.opByOp(engine);
    this.log(await drawTable([], rows));
    return { engines: [result] };
  }

  private async tune(config: string): Promise<TunedKernels> {
    const { configureRun } = await import('../../src/training/configure.js');
    const { tuneKernels } = await import('../../src/training/tune-kernels.js');
    const run = await configureRun({ config, resume: false, flags: {} });
    const tuned = await tuneKernels(run.config, {
      seconds: this.flags.seconds ?? 1,
      signal: this.interruption(),
      onTrial: ({ kind, cut, milliseconds, without }) =>
        this.notice(
          `${kind} ${describeCut(cut)}: ${milliseconds.toFixed(3)} ms a step, ${without.toFixed(3)} without`,
        ),
    });
    const rows = KERNEL_KINDS.map((kind) => [kind, tuned.cuts[kind] ? describeCut(tuned.cuts[kind]) : 'XLA']);
    this.log(await drawTable(['kernel', 'taken'], rows));
    this.log(tuned.path);
    return tuned;
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
      ...result.host.map(hostRow),
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

const hostRow = ({ leaves, queue, processor, thread }: EngineBenchmark['host'][number]): string[] => [
  `host, ${leaves} tensors of state`,
  `${queue.toFixed(3)} ms until queued, ${(processor ?? thread).toFixed(3)} ms of this thread a step`,
];

const stepRow = ({ what, milliseconds, gflops }: EngineBenchmark['step']): string[] => [
  'training step',
  `${milliseconds.toFixed(2)} ms, ${gflops.toFixed(1)} GFLOP/s (${what})`,
];

const describeCut = ({ lanesAtOnce, rowsOfInstance, warps, stages = 1 }: Cut): string =>
  `${lanesAtOnce} lanes, ${rowsOfInstance} rows, ${warps} warps${stages > 1 ? `, ${stages} stages` : ''}`;
