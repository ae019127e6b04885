import { Args, Flags } from '@oclif/core';
import { type FitFile, LOSSES, NOISES } from '../src/files/fit.js';
import { BaseCommand } from './_base.js';
import { countFlag, listOptions, numberFlag } from './_flags.js';

export default class Fit extends BaseCommand<typeof Fit> {
  static override summary = 'Fit laws to a table: estimates, intervals, comparison, verdicts.';
  static override description =
    'TABLE is a CSV (or Parquet) with a column for x and one for y, one series a group; or a fit.json, whose limits ' +
    'are then fitted against scale, one row a group. Tokens are divided by 1e9 in every law. Every fit says how far ' +
    'it can be trusted: ok, weakly-identified, at-bound, not-converged or too-few-points. Rows of the warm-up and ' +
    'decay phases are left out unless --all-phases.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> table.csv --law logspace-power --out fit.json',
    '<%= config.bin %> <%= command.id %> table.csv --law auto --where metric=pplp --where p_percent=1 --plot',
    '<%= config.bin %> <%= command.id %> table.csv --group run_id --law offset-power --y loss_dense_nats_per_token',
    '<%= config.bin %> <%= command.id %> table.csv --law convergent-power --bootstrap 1000 --drop-first 5',
    '<%= config.bin %> <%= command.id %> fit.json --x params_non_embedding --law power',
  ];
  static override args = {
    table: Args.string({ description: 'Table (CSV or Parquet) or fit.json.', required: true }),
  };
  static override flags = {
    law: Flags.string({
      ...listOptions,
      summary: 'Laws to fit, or auto.',
      default: ['auto'],
      helpValue: 'LAW[,LAW]',
    }),
    x: Flags.string({ summary: 'Column of x [default: tokens].', helpValue: 'COL' }),
    y: Flags.string({ summary: 'Column of y [default: activation_ratio].', helpValue: 'COL' }),
    group: Flags.string({
      ...listOptions,
      summary: 'Columns whose values make a series [default: the run and the measurement settings].',
      helpValue: 'COL[,COL]',
    }),
    where: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Keep the rows where this holds; repeat for more, all must hold.',
      helpValue: 'COL=VALUE',
    }),
    'all-phases': Flags.boolean({ summary: 'Keep the rows of the warm-up and decay phases.' }),
    'x-unit': numberFlag({ summary: 'Divide x by this [default: 1e9 for tokens, else 1].', min: 1e-300 }),
    parameters: Flags.string({
      summary: "Column of the model's parameters [default: params_non_embedding].",
      helpValue: 'COL',
    }),
    'drop-first': countFlag({
      summary: 'Leave out so many points at the start of each series; default 0.',
      default: 0,
      min: 0,
    }),
    'hold-out': numberFlag({
      summary: 'Share of the points at the end that is forecast from the rest.',
      default: 0.2,
      min: 0,
      max: 0.9,
    }),
    loss: Flags.option({ options: LOSSES })({
      summary: 'Squares of the residuals, Huber of them, or squares of log residuals.',
      default: 'squares',
    }),
    noise: Flags.option({ options: NOISES })({
      summary: 'Residuals independent, or correlated along x.',
      default: 'independent',
    }),
    level: numberFlag({ summary: 'Confidence of the intervals.', default: 0.95, min: 0.5, max: 0.9999 }),
    starts: countFlag({
      summary: 'Quasi-random starting points at most.',
      default: 64,
      min: 1,
      max: 100_000,
    }),
    within: numberFlag({
      ...listOptions,
      summary: 'Report the x from which the curve is within this percentage of its limit.',
      default: [5],
      min: 1e-9,
      max: 100,
    }),
    margin: numberFlag({
      summary: 'Largest relative change a decade of scale that counts as weak dependence (fit.json input).',
      default: 0.1,
      min: 0,
    }),
    bootstrap: countFlag({
      summary: 'Bootstrap replicates; default 0, none.',
      default: 0,
      min: 0,
      max: 1_000_000,
    }),
    seed: countFlag({ summary: 'Seed of the bootstrap; default 0.', default: 0, min: 0 }),
    cluster: Flags.string({
      ...listOptions,
      summary: 'Bootstrap whole runs: columns that tell the runs within a group apart.',
      helpValue: 'COL[,COL]',
    }),
    detail: Flags.option({ options: ['full', 'brief'] as const })({
      summary: 'What is written a fit [default: full up to 200 fits].',
    }),
    threads: countFlag({
      summary: 'Worker threads [default: all cores]; the numbers do not depend on it.',
      min: 1,
    }),
    plot: Flags.boolean({ summary: 'Draw each fitted curve as text.' }),
    out: Flags.string({ summary: 'Write fit.json here.', helpValue: 'FILE' }),
  };

  async run(): Promise<FitFile> {
    const { flags } = this;
    const { fitTable } = await import('../src/fit/fit-table.js');
    const { file, notices } = await fitTable(this.args.table, {
      laws: flags.law,
      x: flags.x,
      y: flags.y,
      group: flags.group,
      where: flags.where,
      cluster: flags.cluster,
      parameters: flags.parameters,
      allPhases: flags['all-phases'],
      xUnit: flags['x-unit'],
      margin: flags.margin,
      detail: flags.detail,
      threads: flags.threads,
      fit: {
        loss: flags.loss,
        noise: flags.noise,
        dropFirst: flags['drop-first'],
        holdOut: flags['hold-out'],
        level: flags.level,
        starts: flags.starts,
        within: flags.within,
        bootstrap: {
          replicates: flags.bootstrap,
          seed: flags.seed,
          scheme: flags.cluster ? 'cluster' : 'residual',
        },
      },
      onProgress: this.progress(),
      signal: this.interruption(),
    });
    for (const notice of notices) this.notice(notice);
    if (flags.out) {
      const { writeFileAtomic } = await import('../src/io/atomic.js');
      await writeFileAtomic(flags.out, `${JSON.stringify(file, null, 2)}\n`);
    }
    if (!this.jsonEnabled()) await this.print(file);
    return file;
  }

  private async print(file: FitFile): Promise<void> {
    const { summaryLines } = await import('../src/fit/summary.js');
    for (const line of summaryLines(file)) this.log(line);
    if (this.flags.plot) {
      const { plotFit } = await import('../src/fit/plot.js');
      const columns = Math.min(process.stdout.columns ?? 80, 120);
      const color = process.stdout.isTTY === true && !process.env.NO_COLOR;
      for (const fit of file.fits) this.log(`\n${plotFit(fit, file, { columns, color })}`);
    }
    if (this.flags.out) this.log(`\nWritten to ${this.flags.out}.`);
  }
}
