import { compatCalibration } from './compat.js';
import { type CurvePoint, ERROR_WIDTH } from './curve-point.js';
import { average, type CensusPass, type MaskedPass, type RangePass, type Session } from './evaluate.js';
import { CETT_GRID, type TracePoint } from './perplexity-search.js';
import { outputNormRule, type Rule } from './rules.js';
import { estimateMean, type Sighting, stagedPasses } from './staged-pass.js';
import { type Calibration, calibrate } from './threshold-search.js';
import type { Windows } from './windows.js';

/**
 * One checkpoint on one set of windows: the passes and searches that several metrics and settings share, each
 * made on first use. Everything here is lazy, so that `zero` alone costs no threshold search.
 */
export interface MeasureContext {
  readonly session: Session;
  /** What perplexity and activation ratio are measured on. */
  readonly windows: Windows;
  /** Where thresholds are searched. */
  readonly calibrationWindows: Windows;
  /** Where the first look at perplexity is taken. */
  readonly gridWindows: Windows;
  readonly tolerance: number;
  dense(): Promise<MaskedPass>;
  range(): Promise<RangePass>;
  calibration(): Promise<Calibration>;
  /** A masked pass over all windows; the same thresholds are evaluated once. */
  masked(rule: Rule, thresholds: readonly number[]): Promise<MaskedPass>;
  /** The same over the calibration tokens, `gridWindows`. */
  gridMasked(rule: Rule, thresholds: readonly number[]): Promise<MaskedPass>;
  /** Who is active where on all windows; the same thresholds are counted once. */
  census(rule: Rule, thresholds: readonly number[]): Promise<CensusPass>;
  /** ln(perplexity ratio) with the same CETT bound in every layer, on all windows. */
  logRatio(cett: number): Promise<number>;
  /** The curve on `gridWindows`. */
  grid(): Promise<readonly CurvePoint[]>;
  /** `logRatio` on as many windows as it takes to tell on which side of a bound it lies. */
  judge(cett: number, bound: number): Promise<Omit<CurvePoint, 'cett'>>;
  /** `logRatio` on an eighth of all windows; undefined where that is hardly more than `gridWindows`. */
  readonly sampledLogRatio: ((cett: number) => Promise<Omit<CurvePoint, 'cett'>>) | undefined;
  /** Every value that `logRatio` and `grid` gave, in order. */
  readonly trace: TracePoint[];
  /** What is known on all windows. */
  readonly known: CurvePoint[];
}

export interface ContextOptions {
  windows: Windows;
  calibrationWindows: Windows;
  gridWindows: Windows;
  /** Smallest CETT bound that will be asked for (0 when unknown): where the threshold scan begins. */
  smallestBound: number;
  tolerance: number;
  /** The authors' linear threshold grid instead of the scan. */
  compat: boolean;
}

export function measureContext(session: Session, options: ContextOptions): MeasureContext {
  const { windows, calibrationWindows, gridWindows } = options;
  const zeros = new Array<number>(session.model.layers).fill(0);
  const passes = stagedPasses(session, windows);
  /** Losses on all windows by the CETT bound they were measured at. */
  const whole: { cett: number; loss: Float64Array }[] = [];
  const gridPasses = new Map<string, Promise<MaskedPass>>();
  const censuses = new Map<string, Promise<CensusPass>>();
  const trace: TracePoint[] = [];
  let range: Promise<RangePass> | undefined;
  let calibration: Promise<Calibration> | undefined;
  let grid: Promise<readonly CurvePoint[]> | undefined;

  const masked = passes.whole;
  const gridMasked = (rule: Rule, thresholds: readonly number[]) =>
    gridWindows === windows
      ? masked(rule, thresholds)
      : once(gridPasses, `${rule.id} ${thresholds.join()}`, () =>
          session.masked(rule, gridWindows, thresholds),
        );
  // The masked program at threshold 0 keeps everything: one program, so nothing can differ but the masking.
  const dense = () => masked(outputNormRule, zeros);

  const calibrated = () => {
    calibration ??= options.compat
      ? compatCalibration(session, calibrationWindows)
      : calibrate(session, calibrationWindows, options.smallestBound);
    return calibration;
  };

  const measureGrid = async () => {
    const { approximate } = await calibrated();
    const base = (await gridMasked(outputNormRule, zeros)).loss;
    const unseen = 1 - gridWindows.count / windows.count;
    const points: CurvePoint[] = [];
    for (const cett of CETT_GRID) {
      const { loss } = await gridMasked(outputNormRule, await approximate(cett));
      const rises = loss.map((value, i) => value - base[i]!);
      const logRatio = average(rises);
      points.push({ cett, logRatio, error: ERROR_WIDTH * standardError(rises) * Math.sqrt(unseen) });
      note(cett, logRatio, 'calibration');
    }
    return points;
  };

  /** ln(perplexity ratio) of a pass that saw some windows: those of the nearest pass that saw all stand for the rest. */
  const estimate = async (cett: number, { loss, rows }: Sighting) => {
    const base = (await dense()).loss;
    const nearest = whole.reduce((a, b) => (Math.abs(b.cett - cett) < Math.abs(a.cett - cett) ? b : a), {
      cett: 0,
      loss: base,
    });
    const { mean, standardError } = estimateMean(loss, nearest.loss, rows);
    return { logRatio: mean - average(base), error: ERROR_WIDTH * standardError };
  };
  const note = (cett: number, logRatio: number, tokens: TracePoint['tokens']) => {
    trace.push({ cett, ratio: Math.exp(logRatio), tokens });
  };

  const logRatio = async (cett: number) => {
    const { thresholds } = await (await calibrated()).exact(cett);
    const [{ loss }, base] = [await masked(outputNormRule, thresholds), await dense()];
    const value = average(loss) - average(base.loss);
    whole.push({ cett, loss });
    note(cett, value, 'all');
    return value;
  };
  const judge = async (cett: number, bound: number) => {
    const { thresholds } = await (await calibrated()).exact(cett);
    let seen = await passes.until(outputNormRule, thresholds, () => true);
    for (;;) {
      const told = await estimate(cett, seen);
      if (seen.isWhole) return { logRatio: await logRatio(cett), error: 0 };
      if (Math.abs(told.logRatio - bound) > told.error) {
        note(cett, told.logRatio, 'sample');
        return told;
      }
      const { length } = seen.rows;
      seen = await passes.until(outputNormRule, thresholds, ({ rows }) => rows.length > length);
    }
  };
  const sampledLogRatio = async (cett: number) => {
    const { thresholds } = await (await calibrated()).exact(cett);
    const seen = await passes.until(outputNormRule, thresholds, () => true);
    const told = await estimate(cett, seen);
    note(cett, told.logRatio, 'sample');
    return told;
  };

  return {
    session,
    logRatio,
    judge,
    sampledLogRatio:
      passes.first < windows.count && passes.first >= 2 * gridWindows.count ? sampledLogRatio : undefined,
    windows,
    calibrationWindows,
    gridWindows,
    tolerance: options.tolerance,
    trace,
    known: [],
    dense,
    masked,
    gridMasked,
    census: (rule, thresholds) =>
      once(censuses, `${rule.id} ${thresholds.join()}`, () => session.census(rule, windows, thresholds)),
    calibration: calibrated,
    range() {
      range ??= session.range(windows);
      return range;
    },
    grid() {
      grid ??= measureGrid();
      return grid;
    },
  };
}

/** Of the mean of independent values; 0 for a single one, which says nothing of its spread. */
function standardError(values: Float64Array): number {
  const [n, mean] = [values.length, average(values)];
  return n > 1 ? Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1) / n) : 0;
}

/** The value of a key, made when it is first asked for. */
function once<Value>(known: Map<string, Promise<Value>>, key: string, make: () => Promise<Value>) {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}
