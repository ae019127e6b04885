import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { measurementFileName, type SparsityMeasurement, sparsitySchema } from '../files/sparsity.js';
import { writeFileAtomic } from '../io/atomic.js';
import { canonicalJson, sha256 } from '../io/hash.js';
import { readJson } from '../io/json.js';

type Key = Pick<
  SparsityMeasurement,
  'checkpoint' | 'checkpointSha256' | 'metric' | 'settings' | 'settingsHash' | 'engine' | 'precision'
>;

/** Long enough that no two settings of one checkpoint meet. */
const HASH_DIGITS = 12;

/** Names what a measurement depends on beside the checkpoint and the engine. */
export const settingsHashOf = (settings: SparsityMeasurement['settings']): string =>
  sha256(canonicalJson(settings)).slice(0, HASH_DIGITS);

const pathOf = (folder: string, key: Key) =>
  join(folder, measurementFileName(key.checkpoint, key.metric, key.settingsHash));

/** The measurement that is there already, if it is of the same weights, data, settings, engine and precision. */
export async function findMeasurement(folder: string, key: Key): Promise<SparsityMeasurement | undefined> {
  const path = pathOf(folder, key);
  if (!existsSync(path)) return undefined;
  // A damaged file or one of another version is measured anew, not an error.
  const found = await readJson(path, sparsitySchema).catch(() => undefined);
  const isSame =
    found &&
    found.checkpointSha256 === key.checkpointSha256 &&
    canonicalJson(found.settings) === canonicalJson(key.settings) &&
    found.engine === key.engine &&
    found.precision === key.precision;
  return isSame ? found : undefined;
}

export async function writeMeasurement(folder: string, measurement: SparsityMeasurement): Promise<string> {
  const path = pathOf(folder, measurement);
  await writeFileAtomic(path, `${JSON.stringify(measurement, null, 2)}\n`);
  return path;
}
