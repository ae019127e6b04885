import { randomStream } from '../random.js';
import type { MaskedPass, Session } from './evaluate.js';
import type { Rule } from './rules.js';
import { pickWindows, type Windows } from './windows.js';

/** Shares of the windows seen after each stage. */
const STAGES = [1 / 8, 1 / 4, 1 / 2, 1];
/** Fewer windows say too little about their own spread. */
const FEWEST = 64;

/** A masked pass as far as it has come: values of windows that are not among `rows` mean nothing. */
export interface Sighting extends MaskedPass {
  /** Windows seen. */
  rows: readonly number[];
  isWhole: boolean;
}

export interface StagedPasses {
  /** Windows of the first stage. */
  readonly first: number;
  /** All windows. */
  whole(rule: Rule, thresholds: readonly number[]): Promise<MaskedPass>;
  /** Stage after stage until `isEnough`, or to the end; the same thresholds go on where they stopped. */
  until(rule: Rule, thresholds: readonly number[], isEnough: (seen: Sighting) => boolean): Promise<Sighting>;
}

/**
 * Masked passes over windows that may stop early. Windows come in one random order: those seen are a simple random
 * sample of all, and the same ones in every pass, so that two passes are compared window by window.
 */
export function stagedPasses(session: Session, windows: Windows): StagedPasses {
  const order = randomStream(0, `stages-${windows.count}`).permutation(windows.count);
  const ends = stageEnds(windows.count, session.batchWindows);
  const stages = ends.map((end, i) => {
    const rows = [...order.subarray(ends[i - 1] ?? 0, end)];
    return { end, rows, windows: pickWindows(windows, rows) };
  });
  const passes = new Map<string, Sighting>();

  const passOf = (rule: Rule, thresholds: readonly number[]) => {
    const key = `${rule.id} ${thresholds.join()}`;
    const pass = passes.get(key) ?? {
      loss: new Float64Array(windows.count),
      active: thresholds.map(() => new Float64Array(windows.count)),
      rows: [],
      isWhole: false,
    };
    passes.set(key, pass);
    return pass;
  };

  async function advance(pass: Sighting, rule: Rule, thresholds: readonly number[]): Promise<void> {
    const stage = stages.find(({ end }) => end > pass.rows.length)!;
    const { loss, active } = await session.masked(rule, stage.windows, thresholds);
    stage.rows.forEach((row, i) => {
      pass.loss[row] = loss[i]!;
      active.forEach((counts, layer) => {
        pass.active[layer]![row] = counts[i]!;
      });
    });
    pass.rows = [...order.subarray(0, stage.end)];
    pass.isWhole = stage.end === windows.count;
  }

  return {
    first: ends[0]!,
    async whole(rule, thresholds) {
      const pass = passOf(rule, thresholds);
      if (pass.rows.length === 0) {
        Object.assign(pass, await session.masked(rule, windows, thresholds), {
          rows: [...order],
          isWhole: true,
        });
      }
      while (!pass.isWhole) await advance(pass, rule, thresholds);
      return pass;
    },
    async until(rule, thresholds, isEnough) {
      const pass = passOf(rule, thresholds);
      while (!pass.isWhole && (pass.rows.length === 0 || !isEnough(pass))) {
        await advance(pass, rule, thresholds);
      }
      return pass;
    },
  };
}

/** Where stages end: whole batches, the last one at the end; a single stage where there are few windows. */
function stageEnds(count: number, batch: number): number[] {
  const ends = STAGES.map((share) => Math.min(count, Math.ceil((share * count) / batch) * batch));
  return [...new Set(ends)].filter((end) => end >= Math.min(FEWEST, count));
}

/**
 * The mean over all windows of values that are known for a random sample `rows` of them: the mean of a `control` known
 * for all, plus the sample's mean difference from it. Its standard error is that of sampling without replacement.
 */
export function estimateMean(
  values: ArrayLike<number>,
  control: ArrayLike<number>,
  rows: readonly number[],
): { mean: number; standardError: number } {
  const [n, all] = [rows.length, control.length];
  let known = 0;
  for (let i = 0; i < all; i++) known += control[i]!;
  let sum = 0;
  for (const row of rows) sum += values[row]! - control[row]!;
  const shift = sum / n;
  let squares = 0;
  for (const row of rows) squares += (values[row]! - control[row]! - shift) ** 2;
  return {
    mean: known / all + shift,
    standardError: Math.sqrt((squares / (n - 1) / n) * (1 - n / all)),
  };
}
