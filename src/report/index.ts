import { dirname } from 'node:path';
import { usageError } from '../errors.js';
import { writeFileAtomic } from '../io/atomic.js';
import { chartGroups } from './charts-of.js';
import { readSources } from './inputs.js';
import { buildModel } from './model.js';
import { reportPage, STATIC_BYTES } from './page.js';

export interface ReportOptions {
  inputs: readonly string[];
  out: string;
  title?: string;
  static?: boolean;
  /** Folder for each chart as SVG, PNG, spec and CSV. */
  figures?: string;
}

export interface WrittenReport {
  path: string;
  charts: string[];
  figures: string[];
  /** Sentences for people, e.g. about pictures that could not be made. */
  notices: string[];
}

/**
 * Reads fits, tables and runs, and writes the page, one self-contained file.
 * @throws SparselawError 2 for a wrong name, 3 for an input that is missing or broken
 */
export async function writeReport(options: ReportOptions): Promise<WrittenReport> {
  if (!/\.html?$/i.test(options.out)) {
    throw usageError(`--out ${options.out}: the name must end in .html.`, { code: 'bad-flag' });
  }
  const sources = await readSources(options.inputs);
  const model = buildModel(options.title ?? 'Activation sparsity', sources);
  const page = await reportPage(model, { static: options.static ?? false, outFolder: dirname(options.out) });
  await writeFileAtomic(options.out, page);
  const charts = chartGroups(model).flatMap((group) => group.charts);
  const result: WrittenReport = {
    path: options.out,
    charts: charts.map(({ name }) => name),
    figures: [],
    notices: [...sources.notes],
  };
  const bytes = Buffer.byteLength(page);
  if (options.static && bytes >= STATIC_BYTES)
    result.notices.push(
      `${options.out} has ${Math.ceil(bytes / 1000)} kB, more than the ${STATIC_BYTES / 1000} kB that mails and wikis take: give it fewer fits or runs.`,
    );
  if (options.figures !== undefined) {
    const { writeFigures } = await import('./figures.js');
    const written = await writeFigures(charts, options.figures);
    result.figures = written.paths;
    result.notices = [...result.notices, ...written.notices];
  }
  return result;
}
