import { Args, Flags } from '@oclif/core';
import { usageError } from '../src/errors.js';
import { BaseCommand } from './_base.js';

interface TableResult {
  path: string;
  rows: number;
  missing: { run: string; checkpoint: string; lacks: string }[];
}

export default class Table extends BaseCommand<typeof Table> {
  static override summary = "Join runs' measurements into one tidy table.";
  static override description =
    'One row per checkpoint × metric × setting, with the run’s configuration in the same row. A missing value is an ' +
    'empty cell, never 0. Checkpoints that lack a measurement are named on stderr. The columns, their units and ' +
    'definitions go to FILE.schema.json and are printed by --describe.';
  static override examples = [
    {
      description: 'All runs of a study',
      command: '<%= config.bin %> <%= command.id %> runs --out table.csv',
    },
    {
      description: 'For DuckDB and pandas',
      command: '<%= config.bin %> <%= command.id %> runs/relu runs/silu --out table.parquet',
    },
    {
      description: 'With the table of runs that another machine made',
      command: '<%= config.bin %> <%= command.id %> runs other/table.csv --out table.csv',
    },
    { description: 'What the columns mean', command: '<%= config.bin %> <%= command.id %> --describe' },
  ];
  static override args = {
    inputs: Args.string({
      multiple: true,
      description:
        'A run folder, a folder of runs, a folder of measurements, or a table of other runs; several may be given.',
    }),
  };
  static override flags = {
    out: Flags.string({ char: 'o', summary: 'The table: FILE.csv or FILE.parquet.', helpValue: 'FILE' }),
    describe: Flags.boolean({ summary: 'Print the column dictionary and end.', exclusive: ['out'] }),
    'mixed-precision': Flags.boolean({
      summary: 'Keep rows of a run that were measured in different arithmetic.',
    }),
  };

  async run(): Promise<TableResult | ReturnType<typeof import('../src/files/table.js').tableDictionary>> {
    if (this.flags.describe) return this.describe();
    const inputs = this.args.inputs ?? [];
    const { out } = this.flags;
    if (inputs.length === 0) throw usageError('Name at least one run folder.', { code: 'usage' });
    if (!out) throw usageError('Missing required flag --out FILE.csv or FILE.parquet.', { code: 'usage' });
    const [{ buildTable, describeMissing }, { tableFormat, writeTable }] = await Promise.all([
      import('../src/table/build.js'),
      import('../src/table/write.js'),
    ]);
    tableFormat(out);
    const { rows, missing, notes } = await buildTable({
      inputs,
      mixedPrecision: this.flags['mixed-precision'],
      onProgress: this.progress(),
      signal: this.interruption(),
    });
    for (const line of [...notes, ...describeMissing(missing)]) this.notice(line);
    await writeTable(out, rows);
    this.log(`${out}: ${rows.length} rows`);
    return { path: out, rows: rows.length, missing };
  }

  private async describe() {
    const { tableDictionary } = await import('../src/files/table.js');
    const dictionary = tableDictionary();
    const { default: CliTable } = await import('cli-table3');
    const width = Math.max(80, Math.min(process.stdout.columns ?? 80, 140));
    const table = new CliTable({
      head: ['column', 'unit', 'meaning'],
      // 8 for borders and padding.
      colWidths: [28, 14, width - 28 - 14 - 4],
      wordWrap: true,
      style: { head: [], border: [] },
    });
    for (const { name, unit, definition } of dictionary.columns) table.push([name, unit, definition]);
    this.log(table.toString());
    return dictionary;
  }
}
