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

/** `pplp 1 %`, `topk 0.1`: a measurement's metric with its setting. */
export function settingLabel(
  m: Pick<SparsityMeasurement, 'metric' | 'pPercent' | 'epsilon' | 'kRatio' | 'cett'>,
): string {
  if (m.metric === 'pplp') return `pplp ${m.pPercent} %`;
  const parameter = m.epsilon ?? m.kRatio ?? (m.metric === 'cett' ? m.cett : undefined);
  return parameter === undefined ? m.metric : `${m.metric} ${parameter}`;
}
