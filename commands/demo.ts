import { fileURLToPath } from 'node:url';
import { Flags } from '@oclif/core';
import type { EngineName } from '../src/engine/index.js';
import { BaseCommand } from './_base.js';

interface DemoOutput {
  report: string;
  table: string;
  fits: string[];
  engine: EngineName;
}

export default class Demo extends BaseCommand<typeof Demo> {
  static override summary = 'Run the whole pipeline on a shipped text: two models, both laws, a report.';
  static override description =
    'Trains a ReLU and a SiLU model on public-domain fiction, measures every checkpoint, fits both laws and ' +
    'writes a report, in a few minutes on two CPU cores. Installs the XLA plugin if it can; where it cannot, a ' +
    'smaller preset runs on the engine wasm. A second call goes on where the first one stopped.';
  static override examples = [
    { description: 'Text to report', command: '<%= config.bin %> <%= command.id %> --out demo' },
    {
      description: 'Without any plugin, the smallest size',
      command: '<%= config.bin %> <%= command.id %> --out demo-tiny --engine wasm --preset tiny',
    },
  ];
  static override flags = {
    out: Flags.string({
      summary: 'Folder for everything the demo makes.',
      default: 'demo',
      helpValue: 'DIR',
    }),
    engine: Flags.option({ options: ['auto', 'xla', 'wasm'] as const })({
      summary: 'auto installs and takes xla where it can, else wasm.',
      default: 'auto',
    }),
    preset: Flags.option({ options: ['auto', 'full', 'small', 'tiny'] as const })({
      summary:
        'auto is full on xla and small on wasm; tiny takes seconds and shows nothing but that it works.',
      default: 'auto',
    }),
  };

  async run(): Promise<DemoOutput> {
    const { runDemo } = await import('../src/demo/run-demo.js');
    const { DEMO_PRESETS } = await import('../src/demo/presets.js');
    const engine = await this.chooseEngine();
    const name = this.flags.preset === 'auto' ? (engine === 'xla' ? 'full' : 'small') : this.flags.preset;
    const result = await runDemo({
      out: this.flags.out,
      text: {
        train: shipped('fixtures/tinybooks.train.txt'),
        validation: shipped('fixtures/tinybooks.valid.txt'),
      },
      preset: DEMO_PRESETS[name],
      engine,
      program: shipped('bin/run.js'),
      quiet: this.flags.quiet,
      announce: (message) => this.notice(message),
      signal: this.interruption(),
    });
    for (const { activation, ratio, formula, verdict, reason, limit, shown } of result.laws) {
      const end = limit === null ? '' : `, limit ${limit.toPrecision(3)}`;
      const instead = shown ? `; the report shows: ${shown}` : '';
      this.log(
        `${activation}, ${ratio}: ${formula}${end}  (${verdict}${reason ? `: ${reason}` : ''})${instead}`,
      );
    }
    this.log(result.report);
    return { report: result.report, table: result.table, fits: result.fits, engine };
  }

  /** xla when its plugin is there or can be installed; wasm, with the reason, when not. */
  private async chooseEngine(): Promise<EngineName> {
    if (this.flags.engine !== 'auto') return this.flags.engine;
    const { findPlugin, installPlugin } = await import('../src/engine/install/index.js');
    try {
      await findPlugin('cpu').catch(() =>
        installPlugin('xla-cpu', { onProgress: this.progress(), signal: this.interruption() }),
      );
      return 'xla';
    } catch (error) {
      this.notice(`No XLA plugin: ${(error as Error).message} The demo runs a smaller preset on wasm.`);
      return 'wasm';
    }
  }
}

/** A file of this package; commands run compiled, from dist/commands. */
const shipped = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
