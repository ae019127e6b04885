import { inputError } from '../errors.js';
import { type SparsityMeasurement, sparsitySchema } from '../files/sparsity.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';
import { resolveTarget, type Target } from '../sparsity/targets.js';

/**
 * The one checkpoint that a path names; a run stands for its last.
 * @throws SparselawError (status 3) for anything else
 */
export async function oneCheckpoint(path: string): Promise<Target> {
  return (await resolveTarget(path)).at(-1)!;
}

/** Reads a measurement and checks that it is of these weights. @throws SparselawError (status 3) */
export async function measurementOf(
  path: string,
  target: Target,
  checkpointSha256: string,
): Promise<SparsityMeasurement> {
  const measurement = await readJson(path, sparsitySchema);
  if (measurement.checkpointSha256 !== checkpointSha256) {
    throw inputError(
      `${printable(path)} was measured on other weights (checkpoint ${printable(measurement.checkpoint)}) than ` +
        `${printable(target.path)} holds.`,
      {
        code: 'other-checkpoint',
        suggestions: [`sparselaw measure ${printable(target.path)}`],
      },
    );
  }
  return measurement;
}

/** A measurement's metric with its setting, as reports call it: `PPL-1%`, `top-k 10%`. */
export function settingLabel(
  m: Pick<SparsityMeasurement, 'metric' | 'pPercent' | 'epsilon' | 'kRatio' | 'cett'>,
): string {
  switch (m.metric) {
    case 'pplp':
      return `PPL-${m.pPercent}%`;
    case 'cett':
      return `CETT ${m.cett}`;
    case 'topk':
      return `top-k ${Number((100 * m.kRatio!).toPrecision(4))}%`;
    case 'fat':
      return `FAT ε = ${m.epsilon}`;
    case 'global':
      return `global ε = ${m.epsilon}`;
    case 'zero':
      return 'exact zeros';
  }
}
