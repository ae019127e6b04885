import { expect, it } from 'vitest';
import { formatInterval } from '../../src/report/format.js';

it('writes an interval’s end that does not close, or that no share can have, in words', () => {
  expect(formatInterval([0.05, 0.07], 'share')).toBe('5.0% to 7.0%');
  expect(formatInterval([0.54, 1.12], 'share')).toBe('at least 54%');
  expect(formatInterval([-0.02, 0.16], 'share')).toBe('at most 16%');
  expect(formatInterval([-0.02, 1.16], 'share')).toBe('not bounded by the data');
  expect(formatInterval([-0.02, 1.16], 'plain')).toBe('\u22120.02 to 1.16');
  expect(formatInterval([null, 3], 'plain')).toBe('at most 3');
});
