import { compatCalibration } from './compat.js';
import { average, type MaskedPass, type RangePass, type Session } from './evaluate.js';
import { CETT_GRID, type CurvePoint, type TracePoint } from './perplexity-search.js';
import { outputNormRule, type Rule } from './rules.js';
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
  /** ln(perplexity ratio) with the same CETT bound in every layer, on all windows. */
  logRatio(cett: number): Promise<number>;
  /** The curve on `gridWindows`. */
  grid(): Promise<readonly CurvePoint[]>;
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
  const passes = new Map<string, Promise<MaskedPass>>();
  const trace: TracePoint[] = [];
  let range: Promise<RangePass> | undefined;
  let calibration: Promise<Calibration> | undefined;
  let grid: Promise<readonly CurvePoint[]> | undefined;

  const masked = (rule: Rule, thresholds: readonly number[]) => {
    const key = `${rule.id} ${thresholds.join()}`;
    let pass = passes.get(key);
    if (!pass) {
      pass = session.masked(rule, windows, thresholds);
      passes.set(key, pass);
    }
    return pass;
  };
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
    const base =
      gridWindows === windows ? await dense() : await session.masked(outputNormRule, gridWindows, zeros);
    const dropped = average(base.loss);
    const points: CurvePoint[] = [];
    for (const cett of CETT_GRID) {
      const thresholds = await approximate(cett);
      const pass =
        gridWindows === windows
          ? await masked(outputNormRule, thresholds)
          : await session.masked(outputNormRule, gridWindows, thresholds);
      const logRatio = average(pass.loss) - dropped;
      points.push({ cett, logRatio });
      trace.push({ cett, ratio: Math.exp(logRatio), tokens: 'calibration' });
    }
    return points;
  };

  return {
    session,
    windows,
    calibrationWindows,
    gridWindows,
    tolerance: options.tolerance,
    trace,
    known: [],
    dense,
    masked,
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
