import { expect, it } from 'vitest';
import { emptyRow } from '../../src/files/table.js';
import { buildModel } from '../../src/report/model.js';
import { settingOf } from '../../src/report/settings.js';

it('names a setting so that no two of one metric look alike', () => {
  const own = { ...emptyRow(), metric: 'pplp', p_percent: 1, protocol: 'dataset' };
  const topk = { ...emptyRow(), metric: 'topk', k_ratio: 0.1, protocol: 'dataset' };
  expect(settingOf(own)).toBe('PPL-1%');
  expect(settingOf({ ...own, shared_cett: 'last:5' })).toBe('PPL-1% (shared bound last 5)');
  expect(settingOf({ ...own, protocol: 'paper', shared_cett: 'last:5' })).toBe(
    'PPL-1% (paper, shared bound last 5)',
  );
  expect(settingOf({ ...topk, score: 'output' })).not.toBe(settingOf({ ...topk, score: 'gate' }));
});

it('tells series of one name in several files by their metric, and by the file where that does not', () => {
  const source = (path: string, group: Record<string, string>) => ({
    path,
    sha256: path,
    file: {
      table: { sha256: '' },
      x: 'tokens',
      y: 'activation_ratio',
      fits: [{ group, law: 'log' }],
      comparison: [],
    },
  });
  const labels = (...fits: ReturnType<typeof source>[]) =>
    buildModel('', {
      fits,
      tables: [],
      runs: [],
      evaluations: [],
      profiles: [],
      notes: [],
    } as never).fits.map(({ label }) => label);
  const zero = source('zero.json', { run_id: 'relu', metric: 'zero', protocol: 'dataset' });
  const pplp = source('pplp.json', { run_id: 'relu', metric: 'pplp', p_percent: '1', protocol: 'dataset' });
  expect(labels(zero)).toEqual(['relu']);
  expect(labels(zero, pplp)).toEqual(['relu (exact zeros)', 'relu (PPL-1%)']);
  expect(labels(pplp, { ...pplp, path: 'other.json' })).toEqual(['relu (pplp.json)', 'relu (other.json)']);
  const bare = source('bare.json', { run_id: 'relu' });
  expect(labels(bare, { ...bare, path: 'other.json' })).toEqual(['relu (bare.json)', 'relu (other.json)']);
});
