import { describe, expect, it, vi } from 'vitest';
import { parseCount } from '../../commands/_flags.js';
import { createProgress, formatCount, formatDuration, plainLine } from '../../commands/_progress.js';

describe('counts', () => {
  it.each([
    ['250000', 250_000],
    ['250k', 250_000],
    ['1.5M', 1_500_000],
    ['2B', 2_000_000_000],
    ['1e6', 1_000_000],
  ])('reads %s', (text, value) => {
    expect(parseCount('tokens', text)).toBe(value);
  });

  it.each(['', 'many', '1.5', '1K', '1e400', 'M'])('refuses "%s" naming the flag', (text) => {
    expect(() => parseCount('tokens', text)).toThrow(/--tokens: "/);
  });

  it.each([
    [999, '999'],
    [1234567, '1.23M'],
    [2e9, '2.00B'],
    [0.25, '0.250'],
  ])('prints %d', (value, text) => {
    expect(formatCount(value)).toBe(text);
  });

  it.each([
    [5, '5s'],
    [185, '3m 05s'],
    [7260, '2h 01m'],
    [Number.POSITIVE_INFINITY, '?'],
  ])('prints %d seconds', (value, text) => {
    expect(formatDuration(value)).toBe(text);
  });
});

/** Progress into a pipe, and the lines that it wrote. */
function piped() {
  let written = '';
  const pipe = { isTTY: false, write: (text: string) => (written += text) };
  const progress = createProgress(pipe as unknown as NodeJS.WriteStream);
  return { progress, lines: () => written.split('\n') };
}

describe('progress', () => {
  const event = { task: 'train', done: 500, total: 2000, unit: 'tokens', detail: 'loss 3.2' };

  it('gives share, counts, rate and time left on one line', () => {
    expect(plainLine(event, 100)).toBe('train  25%  500/2.00k tokens  100 tokens/s  15s left  loss 3.2');
  });

  it('says how long one takes where a second makes less than a half', () => {
    expect(plainLine({ ...event, unit: 'checkpoints', done: 1, total: 3 }, 1 / 60)).toBe(
      'train  33%  1/3 checkpoints  1m 00s each  2m 00s left  loss 3.2',
    );
  });

  it('ends with the rate of the whole, not of its last seconds', () => {
    vi.useFakeTimers({ now: 0 });
    const { progress, lines } = piped();
    // Nine in nine seconds, and half a minute for the tenth.
    for (let done = 0; done < 10; done++) {
      vi.setSystemTime(1000 * done);
      progress({ task: 'sweep', done, total: 10, unit: 'runs' });
    }
    vi.setSystemTime(40_000);
    progress({ task: 'sweep', done: 10, total: 10, unit: 'runs' });
    vi.useRealTimers();
    expect(lines().at(-2)).toBe('sweep  100%  10/10 runs  4s each  done');
  });

  it('keeps the rate of what takes longer than its window', () => {
    vi.useFakeTimers({ now: 0 });
    const { progress, lines } = piped();
    const one = { task: 'measure', total: 1, unit: 'checkpoints' };
    for (let second = 0; second < 60; second += 5) {
      vi.setSystemTime(1000 * second);
      progress({ ...one, done: 0 });
    }
    vi.setSystemTime(60_000);
    progress({ ...one, done: 1 });
    vi.useRealTimers();
    expect(lines().at(-2)).toBe('measure  100%  1/1 checkpoints  1m 00s each  done');
  });

  it('does not take a long task by its last seconds', () => {
    vi.useFakeTimers({ now: 0 });
    const { progress, lines } = piped();
    const sweep = { task: 'sweep', total: 40, unit: 'runs' };
    for (let run = 0; run <= 20; run++) {
      vi.setSystemTime(10_000 * run);
      progress({ ...sweep, done: run });
    }
    // The next two runs have only begun: within the last seconds next to nothing was done.
    vi.setSystemTime(206_000);
    progress({ ...sweep, done: 20.01 });
    vi.setSystemTime(212_000);
    progress({ ...sweep, done: 20.02 });
    vi.useRealTimers();
    expect(lines().at(-2)).toMatch(/ 1[01]s each {2}3m \d\ds left$/);
  });

  it('writes whole lines without control characters where there is no terminal', () => {
    const { progress, lines } = piped();
    progress({ ...event, done: 0 });
    progress(event);
    progress({ ...event, done: 2000 });
    progress({ ...event, done: 2000 });
    expect(lines().join('\n')).toMatch(/^train {2}100% {2}2\.00k\/2\.00k tokens.*done {2}loss 3\.2\n$/);
  });
});
