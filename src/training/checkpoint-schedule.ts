import { usageError } from '../errors.js';
import { parseQuantity } from '../quantity.js';

/** Beyond this a schedule is a typing mistake, and would fill any disk. */
const MAX_CHECKPOINTS = 100_000;

/**
 * The steps after which to save, ascending, without repetition. Forms, joined by `+` (or, for numbers, `,`):
 * `log:FROM..TO:COUNT` and `linear:FROM..TO:COUNT` (ends included), `every:N`, and plain numbers of tokens;
 * suffixes k, M, B; a number between 0 and 1 is a share of the run, and so is the end 1 of a range.
 * Tokens are rounded to whole steps; what lies beyond the run is left out; the run's last step is always there.
 * The number 0 asks for the random initial weights.
 * @throws SparselawError (status 2) quoting the part that cannot be read
 */
export function checkpointSteps(
  schedule: string,
  { tokens, batchTokens }: { tokens: number; batchTokens: number },
): number[] {
  const last = Math.round(tokens / batchTokens);
  const steps = new Set<number>([last]);
  for (const part of schedule.split('+')) {
    for (const at of tokensOf(part.trim(), tokens)) {
      // What rounds to nothing becomes the first step; only an explicit 0 means the initial weights.
      const step = at === 0 ? 0 : Math.max(1, Math.round(at / batchTokens));
      if (step <= last) steps.add(step);
    }
  }
  return [...steps].sort((a, b) => a - b);
}

function tokensOf(part: string, end: number): number[] {
  const bad = (why: string) =>
    usageError(`checkpoints: "${part}" ${why}.`, {
      code: 'bad-checkpoints',
      suggestions: ['Write log:1M..1B:24, linear:0.25..1:12, every:10M or 0,1M,2M,10M; join them with +.'],
    });
  const read = (text: string | undefined, min: number): number => {
    const value = parseQuantity(text ?? '');
    if (value === undefined) throw bad(`holds "${text ?? ''}", which is not a number of tokens`);
    if (!Number.isInteger(value) || value < min) {
      throw bad(`holds "${text}", which is not a whole number of at least ${min}`);
    }
    return value;
  };
  const readTokens = (text: string | undefined, min: number): number => {
    const value = parseQuantity(text ?? '');
    return value !== undefined && value > 0 && value < 1 ? value * end : read(text, min);
  };
  const range = /^(log|linear):(.*?)\.\.(.*?):(.*)$/.exec(part);
  if (range) {
    const from = readTokens(range[2], 1);
    const to = range[3] === '1' ? end : readTokens(range[3], 1);
    const count = read(range[4], 2);
    if (to < from) throw bad('ends before it begins');
    if (count > MAX_CHECKPOINTS) throw bad(`asks for more than ${MAX_CHECKPOINTS} checkpoints`);
    const at = (part: number) =>
      range[1] === 'log' ? from * (to / from) ** part : from + part * (to - from);
    return Array.from({ length: count }, (_, i) => (i === count - 1 ? to : at(i / (count - 1))));
  }
  const every = /^every:(.*)$/.exec(part);
  if (every) {
    const interval = Math.max(1, readTokens(every[1], 1));
    // A tenth of a run fits ten times, whatever the last bit says.
    const count = Math.floor(end / interval + 1e-9);
    if (count > MAX_CHECKPOINTS) throw bad(`asks for more than ${MAX_CHECKPOINTS} checkpoints`);
    return Array.from({ length: count }, (_, i) => interval * (i + 1));
  }
  return part.split(',').map((text) => readTokens(text.trim(), 0));
}
