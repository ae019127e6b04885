import { Args, Flags } from '@oclif/core';
import { inputError, usageError } from '../src/errors.js';
import type { Prediction } from '../src/fit/predict.js';
import { printable } from '../src/io/printable.js';
import { BaseCommand } from './_base.js';
import { listOptions } from './_flags.js';
import { drawTable } from './_table.js';

const SUFFIXES: Record<string, number> = { k: 1e3, M: 1e6, B: 1e9, T: 1e12 };

const valueFlag = Flags.custom<number>({
  helpValue: 'VALUE',
  parse: async (text) => {
    const match = /^(.*?)([kMBT])?$/.exec(text.trim())!;
    const value = match[1] === '' ? Number.NaN : Number(match[1]) * (match[2] ? SUFFIXES[match[2]]! : 1);
    if (Number.isFinite(value) && value > 0) return value;
    throw usageError(`--at: "${text}" is not a positive number.`, { code: 'bad-flag' });
  },
});

export default class Predict extends BaseCommand<typeof Predict> {
  static override summary = 'Values of fitted laws with prediction intervals.';
  static override description =
    "FIT is a fit.json. Values of x are in the table's unit (tokens, not billions); suffixes k, M, B, T are understood. " +
    'Outside the fitted range, and where the value is none that a share can have (below 0, above 1), the answer says ' +
    'so; where the convergent power law falls below 0 it is refused.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> fit.json --at 100B,1T',
    '<%= config.bin %> <%= command.id %> fit.json --at 5e10 --group run_id=relu-256 --law logspace-power',
  ];
  static override args = {
    fit: Args.string({ description: 'A fit.json, as `fit --out` writes it.', required: true }),
  };
  static override flags = {
    at: valueFlag({ ...listOptions, summary: "Values of x, in the table's unit.", required: true }),
    group: Flags.string({
      ...listOptions,
      summary: 'Groups wanted: COL=VALUE, or a value of any group column; all must hold.',
      helpValue: 'G',
    }),
    law: Flags.string({ summary: 'Law wanted [default: the chosen or best ranked].', helpValue: 'LAW' }),
  };

  async run(): Promise<{ predictions: Prediction[] }> {
    const [{ readJson }, { fitFileSchema }, { isTablePath }, { predict }] = await Promise.all([
      import('../src/io/json.js'),
      import('../src/files/fit.js'),
      import('../src/files/table.js'),
      import('../src/fit/predict.js'),
    ]);
    if (isTablePath(this.args.fit)) {
      throw inputError(`${printable(this.args.fit)} is a table: predict reads what was fitted to it.`, {
        code: 'not-a-fit',
        suggestions: [`sparselaw fit ${printable(this.args.fit)} --out fit.json`],
      });
    }
    const file = await readJson(this.args.fit, fitFileSchema);
    const predictions = predict(file, this.flags);
    if (!this.jsonEnabled()) await this.print(predictions, file.y);
    return { predictions };
  }

  private async print(predictions: Prediction[], y: string): Promise<void> {
    const [{ shortInterval, shortNumber }, { groupName }] = await Promise.all([
      import('../src/fit/summary.js'),
      import('../src/fit/series.js'),
    ]);
    const percent = `${100 * (predictions[0]?.level ?? 0.95)} %`;
    const rows = predictions.map((item) => [
      groupName(item.group),
      item.law,
      shortNumber(item.at),
      shortNumber(item.value),
      item.interval ? shortInterval(item.interval) : 'none',
      item.range === 'inside' ? '' : 'extrapolated',
    ]);
    this.log(await drawTable(['group', 'law', 'at', y, `${percent} interval`, ''], rows));
    for (const note of new Set(predictions.flatMap((item) => item.notes))) this.log(`! ${note}`);
  }
}
