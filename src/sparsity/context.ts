import { compatCalibration } from './compat.js';
import { average, type CensusPass, type MaskedPass, type RangePass, type Session } from './evaluate.js';
import { CETT_GRID, type CurvePoint, type TracePoint } from './perplexity-search.js';
import { outputNormRule, type Rule } from './rules.js';
import { type Calibration, calibrate } from './threshold-search.js';
import { pickWindows, strideRows, type Windows } from './windows.js';

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
  /** `logRatio` on an eighth of all windows; undefined where that is hardly more than `gridWindows`. */
  readonly sampledLogRatio: ((cett: number) => Promise<number>) | undefined;
  /** Every value that `logRatio` and `grid` gave, in order. */
  readonly trace: TracePoint[];
  /** What is known on all windows. */
  readonly known: CurvePoint[];
}

/** All windows hold so many times the windows of a sample. */
const SAMPLE_SHARE = 8;

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
  const passes = new Map<string, Promise<MaskedPass>>();
  const gridPasses = new Map<string, Promise<MaskedPass>>();
  const censuses = new Map<string, Promise<CensusPass>>();
  const trace: TracePoint[] = [];
  let range: Promise<RangePass> | undefined;
  let calibration: Promise<Calibration> | undefined;
  let grid: Promise<readonly CurvePoint[]> | undefined;

  const masked = (rule: Rule, thresholds: readonly number[]) =>
    once(passes, `${rule.id} ${thresholds.join()}`, () => session.masked(rule, windows, thresholds));
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
    const base = average((await gridMasked(outputNormRule, zeros)).loss);
    const points: CurvePoint[] = [];
    for (const cett of CETT_GRID) {
      const pass = await gridMasked(outputNormRule, await approximate(cett));
      const logRatio = average(pass.loss) - base;
      points.push({ cett, logRatio });
      trace.push({ cett, ratio: Math.exp(logRatio), tokens: 'calibration' });
    }
    return points;
  };

  const rows = strideRows(windows.count, Math.floor(windows.count / SAMPLE_SHARE));
  const sampleWindows = pickWindows(windows, rows);
  const sampledLogRatio = async (cett: number) => {
    const thresholds = await (await calibrated()).approximate(cett);
    const sparse = await session.masked(outputNormRule, sampleWindows, thresholds);
    const { loss } = await dense();
    const logRatio = average(sparse.loss) - average(rows.map((row) => loss[row]!));
    trace.push({ cett, ratio: Math.exp(logRatio), tokens: 'sample' });
    return logRatio;
  };

  return {
    session,
    sampledLogRatio: rows.length >= 2 * gridWindows.count ? sampledLogRatio : undefined,
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
    async logRatio(cett) {
      const { thresholds } = await (await calibrated()).exact(cett);
      const [sparse, base] = [await masked(outputNormRule, thresholds), await dense()];
      const logRatio = average(sparse.loss) - average(base.loss);
      trace.push({ cett, ratio: Math.exp(logRatio), tokens: 'all' });
      return logRatio;
    },
  };
}

/** The value of a key, made when it is first asked for. */
function once<Value>(known: Map<string, Promise<Value>>, key: string, make: () => Promise<Value>) {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}
