import { basename } from 'node:path';
import type { Fit, FitFile } from '../files/fit.js';
import { TABLE_COLUMNS, type TableColumn, type TableRow } from '../files/table.js';
import { preferredFit } from '../fit/read-rows.js';
import { uniqueNames } from '../table/measurement-files.js';
import type { SourceRow } from '../table/read-table.js';
import type { Axis } from './chart.js';
import { formatNumber, formatShare, kindOf } from './format.js';
import { groupWord } from './group-words.js';
import type { FitSource, Sources } from './inputs.js';
import { runNames } from './run-names.js';
import { assignSeries, type Series, type SeriesFacts } from './series.js';

export interface FitView {
  /** Label of the series on the page. */
  label: string;
  /** What the page calls it. */
  name: string;
  fit: Fit;
  file: FitFile;
  /** Of the fit.json itself: fits of limits name it as their table. */
  sourceSha256: string;
  /** The law that stands for the group: chosen by the comparison, else the best ranked. */
  isPreferred: boolean;
  activation: string | null;
  /** Non-embedding parameters, or a scale that the group names. */
  size: number | null;
}

export interface RowView {
  label: string;
  row: TableRow;
}

export interface ReportModel {
  title: string;
  sources: Sources;
  fits: FitView[];
  rows: RowView[];
  series: Map<string, Series>;
  /** What the page calls a run. */
  nameOf: (run: string) => string;
}

export function buildModel(title: string, sources: Sources): ReportModel {
  const activationOf = activations(sources);
  const studies = uniqueNames(sources.fits.map(({ path }) => path));
  const labels = sources.fits.map((source) => groupLabels(source));
  const nameOf = namesOfRuns(
    sources,
    labels.flatMap((own) => [...own.values()]),
  );
  const names = sources.fits.map((source) => groupLabels(source, nameOf));
  const fits = sources.fits.flatMap((source, i) =>
    source.file.fits.map((fit) => {
      const key = JSON.stringify(fit.group);
      const own = labels[i]!.get(key)!;
      const namesakes = sources.fits.filter(
        (other, j) => j !== i && isSameAxes(source, other) && has(labels[j]!, own),
      );
      const suffix = namesakes.length > 0 ? ` (${told(source, namesakes) ?? studies[i]})` : '';
      return {
        label: `${own}${suffix}`,
        name: `${names[i]!.get(key)!}${suffix}`,
        fit,
        file: source.file,
        sourceSha256: source.sha256,
        isPreferred: isPreferred(source.file, fit),
        activation: fit.group.activation ?? activationOf.get(fit.group.run_id ?? '') ?? null,
        size: fit.modelParameters ?? namedScale(fit.group),
      };
    }),
  );
  const rows = sources.tables.flatMap((table) => {
    const label = rowLabel(table.columns, table.rows);
    return table.rows.map((row) => ({ label: label(row), row: row.known }));
  });
  const facts: SeriesFacts[] = [
    ...fits,
    ...rows.map(({ label, row }) => ({
      label,
      name: label === row.run_id ? nameOf(label) : label,
      activation: row.activation,
      size: row.params_non_embedding,
    })),
    ...sources.runs.map(({ id, config }) => ({
      label: id,
      name: nameOf(id),
      activation: typeof config.activation === 'string' ? config.activation : null,
      size: null,
    })),
  ];
  const series = new Map(assignSeries(facts).map((entry) => [entry.label, entry]));
  return { title, sources, fits, rows, series, nameOf };
}

/** @param labels of fitted groups, which no run may be called by but the one whose id they are */
function namesOfRuns(sources: Sources, labels: readonly string[]): (run: string) => string {
  const { fits, tables, runs, evaluations, profiles } = sources;
  const fitted = fits.flatMap(({ file }) => file.fits.map(({ group }) => group.run_id));
  const ids = [...fitted, ...labels, ...[...evaluations, ...profiles].map(({ id }) => id)];
  const names = runNames([
    ...ids.flatMap((id) => (id ? [{ id, seed: null }] : [])),
    ...tables.flatMap(({ rows }) =>
      rows.flatMap(({ known: { run_id: id, seed } }) => (id === null ? [] : [{ id, seed }])),
    ),
    ...runs.map(({ id, config: { seed } }) => ({ id, seed: typeof seed === 'number' ? seed : null })),
  ]);
  return (run) => names.get(run) ?? run;
}

/**
 * What tells the series of a file from those of the same name in other files: its metric with the setting, where each
 * file has one of its own; else only the file does.
 */
function told(source: FitSource, namesakes: readonly FitSource[]): string | null {
  const settings = [source, ...namesakes].map(
    ({ file }) => new Set(file.fits.map(({ group }) => settingOfGroup(group))),
  );
  const all = settings.flatMap((own) => [...own]);
  return settings.every(({ size }) => size === 1) && new Set(all).size === all.length ? all[0]! : null;
}

/** The setting of a group that names its metric; null for another. */
function settingOfGroup(group: Record<string, string>): string | null {
  if (!group.metric) return null;
  const number = (name: string) => (group[name] ? Number(group[name]) : null);
  return settingOf({
    metric: group.metric,
    protocol: group.protocol || 'dataset',
    shared_cett: group.shared_cett || null,
    score: group.score || null,
    p_percent: number('p_percent'),
    cett: number('cett'),
    k_ratio: number('k_ratio'),
    epsilon: number('epsilon'),
  });
}

const has = (labels: Map<string, string>, label: string) => [...labels.values()].includes(label);
const isSameAxes = (a: FitSource, b: FitSource) => a.file.x === b.file.x && a.file.y === b.file.y;

/** A law without a limit stands for a group only where those with one have considerably less support than this. */
const LIMITED_WITHIN = 4;

/** Whether the report's card of a group shows this fit. */
export function isPreferred(file: FitFile, fit: Fit): boolean {
  const key = JSON.stringify(fit.group);
  const own = file.fits.filter((other) => JSON.stringify(other.group) === key);
  const ranking = file.comparison.find(({ group }) => JSON.stringify(group) === key)?.ranking ?? [];
  const limited = preferredFit(file, fit.group) ?? own[0];
  const best = own.find(({ law }) => law === ranking[0]?.law);
  const behind = ranking.find(({ law }) => law === limited?.law)?.deltaAicc ?? 0;
  return (behind > LIMITED_WITHIN && best ? best : limited) === fit;
}

/** Group → label: its values in words, those left out that are the same in all groups of the file. */
function groupLabels({ path, file }: FitSource, nameOf = (run: string) => run): Map<string, string> {
  const groups = [...new Map(file.fits.map(({ group }) => [JSON.stringify(group), group])).values()];
  const names = [...new Set(groups.flatMap((group) => Object.keys(group)))];
  const telling = names.filter((name) => new Set(groups.map((group) => group[name])).size > 1);
  const used = names.includes('run_id')
    ? [...new Set(['run_id', ...telling])]
    : telling.length > 0
      ? telling
      : names;
  const word = (group: Record<string, string>, column: string) =>
    column === 'run_id' && group[column]
      ? nameOf(group[column])
      : groupWord(column, group[column], used.length > 1);
  return new Map(
    groups.map((group) => [
      JSON.stringify(group),
      used
        .map((column) => word(group, column))
        .filter(Boolean)
        .join(' ') || basename(path).replace(/\.json$/, ''),
    ]),
  );
}

/** Columns that tell the runs of a table apart: run_id, or else the text columns with few values. */
function rowLabel(columns: readonly string[], rows: readonly SourceRow[]): (row: SourceRow) => string {
  if (columns.includes('run_id')) return ({ known }) => known.run_id ?? 'no run';
  const telling = columns.filter((column) => {
    const values = new Set(rows.map(({ cells }) => cells[column] ?? ''));
    const isText = [...values].some((value) => value !== '' && !Number.isFinite(Number(value)));
    return isText && values.size > 1 && values.size <= Math.max(2, rows.length / 4) && !NOT_A_RUN.has(column);
  });
  return ({ cells }) => telling.map((column) => cells[column]).join(' ') || 'all rows';
}
const NOT_A_RUN = new Set([
  'metric',
  'checkpoint',
  'protocol',
  'status',
  'precision',
  'engine',
  'device',
  'phase',
]);

function activations({ tables, runs }: Sources): Map<string, string> {
  const known = new Map<string, string>();
  for (const { rows } of tables) {
    for (const { known: row } of rows)
      if (row.run_id && row.activation) known.set(row.run_id, row.activation);
  }
  for (const { id, config } of runs) {
    if (typeof config.activation === 'string') known.set(id, config.activation);
  }
  return known;
}

/** A model size that a group names in words, such as `scale=0.4B`. */
function namedScale(group: Record<string, string>): number | null {
  for (const value of Object.values(group)) {
    const match = /^(\d+(?:\.\d+)?)([kMB])$/.exec(value.trim());
    if (match) return Number(match[1]) * { k: 1e3, M: 1e6, B: 1e9 }[match[2] as 'k' | 'M' | 'B'];
  }
  return null;
}

const TITLES: Partial<Record<TableColumn | 'limit', string>> = {
  tokens: 'Training tokens',
  params_non_embedding: 'Non-embedding parameters',
  params_total: 'Parameters',
  width_depth_ratio: 'Width / depth',
  loss_dense_nats_per_token: 'Loss (nats per token)',
  limit: 'Limit',
};

/** Title and kind of a column's axis. */
export function axisOf(column: string): Axis {
  const words = column.replaceAll('_', ' ');
  const unit = column in TABLE_COLUMNS ? TABLE_COLUMNS[column as TableColumn].unit : '';
  const kind = kindOf(column);
  const shown = unit && unit !== '1' && kind === 'plain' ? ` (${unit})` : '';
  const title = TITLES[column as TableColumn] ?? `${words[0]?.toUpperCase() ?? ''}${words.slice(1)}${shown}`;
  return { field: column, title, kind };
}

type Setting = Pick<
  TableRow,
  'metric' | 'protocol' | 'shared_cett' | 'score' | 'p_percent' | 'cett' | 'k_ratio' | 'epsilon'
>;

/** A metric with its setting, as people call it. */
export function settingOf(row: Setting): string {
  const notes = [row.protocol === 'dataset' ? null : row.protocol, row.shared_cett, row.score];
  const said = notes.filter(Boolean).join(', ');
  const suffix = said ? ` (${said})` : '';
  switch (row.metric) {
    case 'pplp':
      return `PPL-${row.p_percent ?? '?'}%${suffix}`;
    case 'cett':
      return `CETT ${row.cett === null ? '' : formatNumber(row.cett)}${suffix}`;
    case 'topk':
      return `top-k ${row.k_ratio === null ? '' : formatShare(row.k_ratio)}${suffix}`;
    case 'fat':
      return `FAT ε = ${row.epsilon ?? '?'}${suffix}`;
    case 'global':
      return `global ε = ${row.epsilon ?? '?'}${suffix}`;
    case 'zero':
      return `exact zeros${suffix}`;
    default:
      return row.metric ?? 'activation ratio';
  }
}

/** Tokens a parameter and epochs at the end of each run; null where nothing says. */
export interface Budget {
  tokensPerParameter: number | null;
  epochs: number | null;
}

export function budgetsOf({ rows, sources }: ReportModel): Budget[] {
  const runs = new Map<string, Budget & { tokens: number }>();
  const add = (label: string, tokens: number, parameters: number | null, epochs: number | null) => {
    if ((runs.get(label)?.tokens ?? -1) >= tokens) return;
    runs.set(label, { tokens, tokensPerParameter: parameters ? tokens / parameters : null, epochs });
  };
  for (const { label, row } of rows) {
    if (row.tokens !== null) add(label, row.tokens, row.params_non_embedding, row.epochs);
  }
  for (const { id, provenance, metrics } of sources.runs) {
    const tokens = metrics.at(-1)?.tokens;
    if (!provenance || tokens === undefined) continue;
    add(id, tokens, provenance.model.parametersNonEmbedding, tokens / provenance.data.trainTokens);
  }
  return [...runs.values()];
}
