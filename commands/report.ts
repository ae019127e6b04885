import { Args, Flags } from '@oclif/core';
import { BaseCommand } from './_base.js';

interface ReportResult {
  path: string;
  charts: string[];
  figures: string[];
}

export default class Report extends BaseCommand<typeof Report> {
  static override summary = 'Write fits, tables and runs as one page that opens without a network.';
  static override description =
    'Inputs are fit.json files, tables (.csv, .parquet), measurements, evaluations, run folders, and folders of these. A section ' +
    'appears when its data is there. The page holds everything it needs in one file; --static leaves the script out, ' +
    'for mail and wikis. The same inputs give the same bytes.';
  static override examples = [
    {
      description: 'A page of a study',
      command: '<%= config.bin %> <%= command.id %> fit.json table.csv runs --out report.html',
    },
    {
      description: 'Pictures alone, for a mail',
      command: '<%= config.bin %> <%= command.id %> fit.json --static --out report.html',
    },
    {
      description: 'Figures for a paper',
      command: '<%= config.bin %> <%= command.id %> fit.json --out report.html --figures figures',
    },
  ];
  static override args = {
    inputs: Args.string({
      multiple: true,
      required: true,
      description: 'Fits, tables, measurements, run folders.',
    }),
  };
  static override flags = {
    out: Flags.string({ char: 'o', required: true, summary: 'The page: FILE.html.', helpValue: 'FILE' }),
    title: Flags.string({ summary: 'Heading of the page.', helpValue: 'TEXT' }),
    static: Flags.boolean({ summary: 'Pictures (SVG) and tables only, no script.' }),
    figures: Flags.string({ summary: 'Also write each chart as SVG, PNG, spec and CSV.', helpValue: 'DIR' }),
    open: Flags.boolean({ summary: 'Open the page in the browser.' }),
  };

  async run(): Promise<ReportResult> {
    const { writeReport } = await import('../src/report/index.js');
    const { out, title, figures } = this.flags;
    const {
      path,
      charts,
      figures: written,
      notices,
    } = await writeReport({
      inputs: this.args.inputs,
      out,
      static: this.flags.static,
      ...(title === undefined ? {} : { title }),
      ...(figures === undefined ? {} : { figures }),
    });
    for (const line of notices) this.notice(line);
    this.log(path);
    if (this.flags.open) await this.openPage(path);
    return { path, charts, figures: written };
  }

  /** Leaves it to the desktop; where there is none, the path above is all there is. */
  private async openPage(path: string): Promise<void> {
    const { spawn } = await import('node:child_process');
    const [command, ...args] = { darwin: ['open'], win32: ['cmd', '/c', 'start', ''] }[
      process.platform as 'darwin'
    ] ?? ['xdg-open'];
    const child = spawn(command!, [...args, path], { detached: true, stdio: 'ignore' });
    child.on('error', () => this.notice(`No program here opens a page: open ${path} in a browser.`));
    child.unref();
  }
}
