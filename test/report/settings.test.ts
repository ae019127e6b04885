import { expect, it } from 'vitest';
import { emptyRow } from '../../src/files/table.js';
import { settingOf } from '../../src/report/model.js';

it('names a setting so that no two of one metric look alike', () => {
  const own = { ...emptyRow(), metric: 'pplp', p_percent: 1, protocol: 'dataset' };
  const topk = { ...emptyRow(), metric: 'topk', k_ratio: 0.1, protocol: 'dataset' };
  expect(settingOf(own)).toBe('PPL-1%');
  expect(settingOf({ ...own, shared_cett: 'last:5' })).toBe('PPL-1% (last:5)');
  expect(settingOf({ ...own, protocol: 'paper', shared_cett: 'last:5' })).toBe('PPL-1% (paper, last:5)');
  expect(settingOf({ ...topk, score: 'output' })).not.toBe(settingOf({ ...topk, score: 'gate' }));
});
