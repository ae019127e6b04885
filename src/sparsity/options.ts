import type { EngineChoice, EngineOptions } from '../engine/index.js';
import { usageError } from '../errors.js';
import type { ProfileFormat, ProfileName } from '../files/profile.js';
import type { MetricName, ProtocolName } from '../files/sparsity.js';
import type { OnProgress } from '../progress.js';
import type { BootstrapOptions } from './bootstrap.js';
import { METRICS, type MetricParameters, type Setting } from './metrics/index.js';
import type { OpenedEngine } from './open-engine.js';
import type { Bos } from './windows.js';

export interface MeasureOptions extends MetricParameters {
  metrics: readonly MetricName[];
  /** Corpus folder; a run's own by default. */
  data?: string;
  /** Text file, through the checkpoint's tokenizer. */
  text?: string;
  tokens: number;
  seqLen?: number;
  bos: 'auto' | Bos;
  calibrationTokens: number;
  tolerance: number;
  protocol: ProtocolName;
  compat: boolean;
  /** pplp: one CETT value from each run's last so many checkpoints, applied to all of its checkpoints. */
  sharedCett?: number;
  bootstrap?: BootstrapOptions;
  /** Folder for results; a run's own sparsity/ by default. Foreign results without it are only returned. */
  out?: string;
  force: boolean;
  /** Distributions to write beside each measurement; they need a folder. */
  profiles?: { names: readonly ProfileName[]; format: ProfileFormat };
  /** Called with the path of each profile, written now or there already. */
  onProfile?: (path: string) => void;
  engine: EngineChoice;
  /** Told what the choice came to. */
  onEngine?: (engine: OpenedEngine) => void;
  engineOptions: EngineOptions;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

export const MEASURE_DEFAULTS = {
  tokens: 1_048_576,
  calibrationTokens: 65_536,
  tolerance: 1e-4,
} as const;

/** Every metric and parameter asked for. @throws SparselawError (status 2) when a parameter is missing */
export function settingsOf(options: Pick<MeasureOptions, 'metrics'> & MetricParameters): Setting[] {
  return options.metrics.flatMap((name) => {
    const metric = METRICS[name];
    const flag = metric.parameter;
    if (flag && options[flag].length === 0) {
      throw usageError(`The metric ${name} needs --${flag}.`, {
        code: 'missing-flag',
        suggestions: [`Add --${flag} VALUE.`],
      });
    }
    return metric.settings(options);
  });
}
