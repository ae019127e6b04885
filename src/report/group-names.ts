import { basename } from 'node:path';
import type { TableSource } from '../table/read-table.js';
import { formatCount, formatShare, kindOf } from './format.js';
import type { FitSource } from './inputs.js';
import { settingOfGroup, sharedBound } from './settings.js';

type Group = Record<string, string>;

/**
 * Group → what the page calls its series: its values in readers' words, those left out that are the same in all groups
 * of the file.
 */
export function groupNames(
  { path, file }: FitSource,
  tables: readonly TableSource[],
  nameOf = (run: string) => run,
): Map<string, string> {
  const groups = [...new Map(file.fits.map(({ group }) => [JSON.stringify(group), group])).values()];
  const columns = [...new Set(groups.flatMap((group) => Object.keys(group)))];
  const telling = columns.filter((column) => new Set(groups.map((group) => group[column])).size > 1);
  const used = columns.includes('run_id')
    ? [...new Set(['run_id', ...telling])]
    : telling.length > 0
      ? telling
      : columns;
  const rows = tables.find(({ sha256 }) => sha256 === file.table.sha256)?.rows ?? [];
  const bounds = new Set(groups.map((group) => group.shared_cett).filter(Boolean));
  const inWords = (group: Group) => {
    const metric = group.metric || metricOf(group, rows);
    const setting = used.some((column) => METRIC_COLUMNS.has(column)) && wholeSetting({ ...group, metric });
    const words = used.map((column) => {
      const value = group[column] ?? '';
      if (column === 'run_id') return nameOf(value);
      if (setting && SETTING_COLUMNS.has(column)) return '';
      if (column !== 'shared_cett') return columnWords(column, value);
      // Beside a run the word for what is usual would only be long, and so would a number that tells nothing apart.
      if (value === '') return used.includes('run_id') ? '' : 'own bound';
      return bounds.size > 1 ? sharedBound(value) : 'shared bound';
    });
    return [...words, setting].filter(Boolean).join(' ');
  };
  const activations = new Set(rows.map(({ known }) => known.activation));
  const [only] = activations;
  const whole = activations.size === 1 && only ? only : basename(path).replace(/\.json$/, '');
  const named = groups.map((group) => inWords(group) || group.activation || whole);
  const isTold = new Set(named).size === groups.length;
  return new Map(
    groups.map((group, i) => [JSON.stringify(group), isTold ? named[i]! : exactWords(group, used, nameOf)]),
  );
}

/** Where rounding makes two alike: every value as it stands in the file. */
const exactWords = (group: Group, used: readonly string[], nameOf: (run: string) => string) =>
  used
    .flatMap((column) => (group[column] ? [[column, group[column]] as const] : []))
    .map(([column, value]) => (column === 'run_id' ? nameOf(value) : `${plain(column)} ${value}`))
    .join(' ');

/** All that a group says, for a table that has one row of it. */
export function groupWords(group: Group, nameOf: (run: string) => string): string {
  const setting = wholeSetting(group);
  const words = Object.entries(group).map(([column, value]) => {
    if (column === 'run_id') return nameOf(value);
    return setting && SETTING_COLUMNS.has(column) ? '' : columnWords(column, value);
  });
  return [...words, setting].filter(Boolean).join(' ');
}

/** The parameter without which a metric is not told. */
const PARAMETERS: Record<string, string> = {
  pplp: 'p_percent',
  cett: 'cett',
  topk: 'k_ratio',
  fat: 'epsilon',
  global: 'epsilon',
};
const METRIC_COLUMNS = new Set(['metric', ...Object.values(PARAMETERS)]);
const SETTING_COLUMNS = new Set([...METRIC_COLUMNS, 'protocol', 'score', 'shared_cett']);

/** The setting as the page calls it elsewhere; empty where the group says only a part of it. */
function wholeSetting(group: Group): string {
  const parameter = PARAMETERS[group.metric ?? ''];
  const isWhole = group.metric === 'zero' || (parameter !== undefined && Boolean(group[parameter]));
  return (isWhole && settingOfGroup(group)) || '';
}

/** The metric of a group that names only its parameter, where the rows with that parameter have one metric. */
function metricOf(group: Group, rows: TableSource['rows']): string {
  const parameter = (['p_percent', 'epsilon', 'k_ratio'] as const).find((column) => group[column]);
  if (!parameter) return '';
  const metrics = new Set(
    rows.filter(({ known }) => known[parameter] !== null).map(({ known }) => known.metric),
  );
  return metrics.size === 1 ? ([...metrics][0] ?? '') : '';
}

const WORDS: Record<string, (value: string) => string> = {
  p_percent: (value) => `p = ${value}%`,
  epsilon: (value) => `ε = ${value}`,
  k_ratio: (value) => `top-k ${formatShare(Number(value))}`,
  cett: (value) => `CETT ${value}`,
  tokens: (value) => `${formatCount(Number(value))} tokens`,
  tokens_evaluated: (value) => `${formatCount(Number(value))} tokens evaluated`,
  params_non_embedding: (value) => `${formatCount(Number(value))} parameters`,
  width_depth_ratio: (value) => `width / depth ${value}`,
  n_layer: (value) => `${value} layers`,
  n_head: (value) => `${value} heads`,
  d_model: (value) => `width ${value}`,
  d_ff: (value) => `FFN ${value}`,
};

/** A value as readers know it: a word speaks for itself, a number only with the name of its column. */
export function columnWords(column: string, value: string): string {
  if (value === '') return '';
  if (column === 'shared_cett') return sharedBound(value);
  if (value === 'true') return plain(column);
  if (value === 'false') return `not ${plain(column)}`;
  if (!Number.isFinite(Number(value))) return value;
  const words = WORDS[column];
  if (words) return words(value);
  return `${plain(column)} ${kindOf(column) === 'count' ? formatCount(Number(value)) : value}`;
}

const plain = (column: string) => column.replaceAll('_', ' ');
