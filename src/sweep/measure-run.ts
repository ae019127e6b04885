import type { Config } from '../config.js';
import type { OnProgress } from '../progress.js';
import { type Measurer, measureWith, openMeasurer } from '../sparsity/measure.js';
import { MEASURE_DEFAULTS } from '../sparsity/options.js';
import { resolveTarget } from '../sparsity/targets.js';
import type { MeasureSettings } from './grid-schema.js';

export interface MeasureRunOptions {
  signal: AbortSignal;
  onProgress: OnProgress;
}

/**
 * Measures every checkpoint of a run with each of the settings, as `measure` would; what is measured already is
 * reused, and so are the engine and its programs from one setting to the next.
 * @param config of the run, whose engine and device measure too unless the settings name others
 */
export async function measureRun(
  run: string,
  config: Pick<Config, 'engine' | 'device'>,
  measure: readonly MeasureSettings[],
  { signal, onProgress }: MeasureRunOptions,
): Promise<void> {
  const all = await resolveTarget(run);
  const chosen = measure.map(({ last }) => (last === undefined ? all : all.slice(-last)));
  const total = chosen.reduce((sum, targets) => sum + targets.length, 0);
  let before = 0;
  const measurers = new Map<string, Promise<Measurer>>();
  const measurerFor = (wanted: Parameters<typeof openMeasurer>[0]) => {
    const key = JSON.stringify(wanted);
    const known = measurers.get(key) ?? openMeasurer(wanted);
    measurers.set(key, known);
    return known;
  };
  try {
    for (const [index, settings] of measure.entries()) {
      const { metric, engine, device, precision, sharedCett, last: _, ...others } = settings;
      const targets = chosen[index]!;
      const done = before;
      const where = {
        engine: engine ?? config.engine,
        engineOptions: { device: device ?? config.device ?? undefined, precision },
      };
      await measureWith(await measurerFor(where), targets, {
        ...others,
        ...where,
        metrics: [...new Set(metric)],
        tokens: settings.tokens ?? MEASURE_DEFAULTS.tokens,
        calibrationTokens: settings.calibrationTokens ?? MEASURE_DEFAULTS.calibrationTokens,
        tolerance: settings.tolerance ?? (settings.protocol === 'paper' ? 1e-3 : MEASURE_DEFAULTS.tolerance),
        ...(sharedCett === undefined ? {} : { sharedCett: Number(sharedCett.slice('last:'.length)) }),
        force: false,
        signal,
        onProgress: (event) => onProgress({ ...event, done: done + event.done, total }),
      });
      before += targets.length;
    }
  } finally {
    for (const opened of measurers.values()) await (await opened.catch(() => undefined))?.close();
  }
}
