import { expect, it } from 'vitest';
import { groupWord } from '../../src/report/group-words.js';

it('names the column of values that do not speak for themselves', () => {
  expect(groupWord('p_percent', '5', false)).toBe('p = 5%');
  expect(groupWord('k_ratio', '0.1', true)).toBe('k = 0.1');
  expect(groupWord('seed', '1', true)).toBe('seed 1');
  expect(groupWord('tokens_evaluated', '262144', true)).toBe('tokens_evaluated 262144');
});

it('leaves words as they are', () => {
  expect(groupWord('activation', 'relu', false)).toBe('relu');
  expect(groupWord('activation', '', false)).toBe('');
  expect(groupWord('activation', undefined, true)).toBe('');
});

it('tells the two CETT bounds apart where nothing else names the series', () => {
  expect(groupWord('shared_cett', 'last:5', false)).toBe('shared bound (last:5)');
  expect(groupWord('shared_cett', '', false)).toBe('own bound');
  expect(groupWord('shared_cett', 'last:5', true)).toBe('last:5');
  expect(groupWord('shared_cett', undefined, true)).toBe('');
});
