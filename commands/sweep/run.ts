import { Args, Flags } from '@oclif/core';
import { EXIT } from '../../src/errors.js';
import type { GridFile } from '../../src/sweep/grid-file.js';
import type { PlannedRun } from '../../src/sweep/plan.js';
import type { Rates } from '../../src/sweep/rates.js';
import type { RunView } from '../../src/sweep/status.js';
import { BaseCommand } from '../_base.js';
import { formatBytes, formatCount, formatDuration } from '../_progress.js';
import { drawTable } from '../_table.js';
import { executorFlags, workOn } from './_executor.js';
import { statusTable, summary, sweepProgress } from './_view.js';

interface DryRun {
  id: string;
  config: PlannedRun['config'];
  parameters: PlannedRun['plan']['parameters'];
  tokens: number;
  flops: number;
  diskBytes: number;
  /** Of training; null where no rate is known. */
  seconds: number | null;
}

export default class SweepRun extends BaseCommand<typeof SweepRun> {
  static override summary = 'Train and measure every run of a grid, going on where an earlier call stopped.';
  static override description =
    'GRID.yaml holds defaults, product (every combination), lists (read side by side), runs (written out) and grids ' +
    '(more such blocks); the keys inside are those of a run’s configuration. A value may follow from another: ' +
    '`ff: 2.5 * width to 16`, `tokens: 190 parameters`, `width: 4M parameters` (the width at which the model has so ' +
    'many). measure, table, fit, report, tensorboard and slurm say what happens around the runs. Each run is named ' +
    'by the hash of its configuration: done ones are skipped, half-done ones go on, failed ones wait for `sweep ' +
    'retry`. With --executor slurm the command submits jobs and ends.';
  static override examples = [
    {
      description: 'What it would cost',
      command: '<%= config.bin %> <%= command.id %> grid.yaml --out study --dry-run',
    },
    {
      description: 'Two runs at a time on this machine',
      command: '<%= config.bin %> <%= command.id %> grid.yaml --out study --parallel 2',
    },
    {
      description: 'On a cluster, 16 tasks at a time',
      command: '<%= config.bin %> <%= command.id %> grid.yaml --out study --executor slurm --parallel 16',
    },
  ];
  static override args = {
    grid: Args.string({ required: true, description: 'The grid, YAML.' }),
  };
  static override flags = {
    out: Flags.string({ char: 'o', required: true, summary: 'Folder of the sweep.', helpValue: 'DIR' }),
    data: Flags.string({ summary: "Corpus, in place of the grid's.", helpValue: 'DIR' }),
    'dry-run': Flags.boolean({
      summary: 'Print every run with parameters, tokens, FLOPs, disk and time, and end.',
    }),
    rate: Flags.string({
      summary:
        "Speeds for --dry-run's times, such as 2M:8.4M,8M:3.75M (parameters:tokens a second); none for no times " +
        '[default: of the runs so far, else a few steps trained here].',
      helpValue: 'LIST',
    }),
    'disk-check': Flags.boolean({
      summary: 'Refuse to begin when the runs would not fit on the disk.',
      allowNo: true,
      default: true,
    }),
    ...executorFlags,
  };

  async run(): Promise<{ runs: DryRun[] | RunView[] }> {
    const [{ readGridFile }, { planGrid }] = await Promise.all([
      import('../../src/sweep/grid-file.js'),
      import('../../src/sweep/plan.js'),
    ]);
    const { flags } = this;
    const isDry = flags['dry-run'];
    const file = await readGridFile(this.args.grid);
    const data = flags.data === undefined ? {} : { data: flags.data };
    const runs = await planGrid(file, { ...data, withoutCorpus: isDry });
    if (isDry) return this.dryRun(file, runs);

    const [{ prepareSweep }, { runsToDo }, { sweepStatus }] = await Promise.all([
      import('../../src/sweep/prepare.js'),
      import('../../src/sweep/run-sweep.js'),
      import('../../src/sweep/status.js'),
    ]);
    const sweep = await prepareSweep(flags.out, file, runs, { checkDisk: flags['disk-check'] });
    const before = await sweepStatus(flags.out, sweep);
    const signal = this.interruption();
    const progress = this.progress();
    this.notice(`${flags.out}: ${summary(before)}`);
    const { views, status } = await workOn(flags.out, sweep, runsToDo(before), flags, {
      signal,
      notice: (message) => this.notice(message),
      onChange: (now) => progress(sweepProgress(now)),
    });
    this.log(await statusTable(views));
    if (views.some(({ state }) => state === 'failed')) {
      this.notice(`To run the failed ones again: ${this.config.bin} sweep retry ${flags.out}`);
    }
    if (status === EXIT.interrupted) {
      this.notice('To go on: the same command again; what is trained and measured is kept.');
    }
    process.exitCode = status;
    return { runs: views };
  }

  private async dryRun(file: GridFile, runs: readonly PlannedRun[]): Promise<{ runs: DryRun[] }> {
    const [{ trainingSeconds }, { bytesToWrite }, { freeBytes }] = await Promise.all([
      import('../../src/sweep/rates.js'),
      import('../../src/sweep/prepare.js'),
      import('../../src/io/free-space.js'),
    ]);
    const rates = await this.rates(runs);
    const planned = runs.map(({ id, config, plan }): DryRun => {
      const { parameters, tokens, flopsTotal, flopsPerToken, disk } = plan;
      const seconds = rates ? trainingSeconds(flopsPerToken.matricesAndAttention, tokens, rates.rates) : null;
      return { id, config, parameters, tokens, flops: flopsTotal, diskBytes: disk.totalBytes, seconds };
    });
    const rows = planned.map(({ id, config, parameters, tokens, flops, diskBytes, seconds }, i) => [
      id,
      `${config.width}×${config.layers}, ff ${config.ff}`,
      config.seed,
      formatCount(parameters.nonEmbedding),
      formatCount(tokens),
      (tokens / parameters.nonEmbedding).toPrecision(3),
      flops.toExponential(2),
      runs[i]!.plan.checkpoints.length,
      formatBytes(diskBytes),
      seconds === null ? '?' : formatDuration(seconds),
    ]);
    const size = ['run', 'shape', 'seed', 'parameters', 'tokens', 'tokens/param.', 'FLOPs'];
    this.log(await drawTable([...size, 'checkpoints', 'disk', 'time'], rows));
    const sum = (values: readonly (number | null)[]) => values.reduce<number>((a, b) => a + (b ?? 0), 0);
    const free = await freeBytes(this.flags.out);
    const disk = await bytesToWrite(this.flags.out, runs);
    this.log(
      `${runs.length} runs of ${file.path}: ${formatCount(sum(planned.map((run) => run.tokens)))} tokens, ` +
        `${sum(planned.map((run) => run.flops)).toExponential(2)} FLOPs, ${formatBytes(disk)} to write` +
        `${free === undefined ? '' : ` (${formatBytes(free)} free)`}, ` +
        `${rates ? `${formatDuration(sum(planned.map((run) => run.seconds)))} of training on one device` : 'time unknown'}`,
    );
    this.log(
      'Parameters are those outside embedding and head; time is of training alone, without measuring.',
    );
    if (rates) this.log(`Rate: ${rates.source}.`);
    return { runs: planned };
  }

  private async rates(runs: readonly PlannedRun[]): Promise<Rates | undefined> {
    const { rate, out, executor } = this.flags;
    const { parseRates, ratesOfMachine, ratesOfRuns } = await import('../../src/sweep/rates.js');
    if (rate === 'none') return undefined;
    if (rate !== undefined) return parseRates(rate, runs);
    const ids = runs.map(({ id }) => id);
    const seen = await ratesOfRuns(out, ids);
    if (seen) return seen;
    if (executor === 'slurm') {
      this.notice(
        'No rate: the jobs will run elsewhere. Give --rate, or look again once a run is under way.',
      );
      return undefined;
    }
    this.notice('Training a few steps of the smallest and the largest model to measure the rate …');
    try {
      return await ratesOfMachine(runs, this.interruption());
    } catch (error) {
      this.notice(`No rate: ${(error as Error).message}`);
      return undefined;
    }
  }
}
