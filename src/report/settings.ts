import type { TableRow } from '../files/table.js';
import { formatNumber, formatShare } from './format.js';

type Setting = Pick<
  TableRow,
  'metric' | 'protocol' | 'shared_cett' | 'score' | 'p_percent' | 'cett' | 'k_ratio' | 'epsilon'
>;

/** A metric with its setting, as people call it. */
export function settingOf(row: Setting): string {
  const shared = row.shared_cett && sharedBound(row.shared_cett);
  const notes = [row.protocol === 'dataset' ? null : row.protocol, shared, row.score];
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

/** The setting of a group that names its metric; null for another. */
export function settingOfGroup(group: Record<string, string>): string | null {
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

/** `last:5` → `shared bound last 5`. */
export const sharedBound = (value: string) => `shared bound ${value.replace(':', ' ')}`;
