import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  PROFILE_SCHEMA_VERSION,
  PROFILES,
  type ProfileDescription,
  type ProfileFormat,
  type ProfileName,
  profileFileName,
  profileSchema,
} from '../files/profile.js';
import type { SparsityMeasurement } from '../files/sparsity.js';
import { writeFileAtomic } from '../io/atomic.js';
import { formatCsv } from '../io/csv.js';
import { readJson } from '../io/json.js';
import type { ProfileRow } from './profiles/index.js';

const PARQUET_TYPES = { text: 'STRING', integer: 'INT64', number: 'DOUBLE' } as const;

const descriptionPath = (path: string) => `${path}.schema.json`;

/** Writes the rows as Parquet or CSV and, beside them, whose they are and what the columns mean. */
export async function writeProfile(
  folder: string,
  measurement: SparsityMeasurement,
  name: ProfileName,
  rows: readonly ProfileRow[],
  format: ProfileFormat,
): Promise<string> {
  const path = join(folder, profileFileName(measurement, name, format));
  const { summary, columns } = PROFILES[name];
  if (format === 'csv') {
    const names = columns.map((column) => column.name);
    await writeFileAtomic(path, formatCsv(names, rows));
  } else {
    const { parquetWriteBuffer } = await import('hyparquet-writer');
    const columnData = columns.map((column) => ({
      name: column.name,
      data: rows.map((row) => (column.kind === 'integer' ? BigInt(row[column.name]!) : row[column.name]!)),
      type: PARQUET_TYPES[column.kind],
    }));
    await writeFileAtomic(path, new Uint8Array(parquetWriteBuffer({ columnData })));
  }
  const { checkpoint, checkpointSha256, runId, tokens, metric, definition, settingsHash, engine, precision } =
    measurement;
  const description: ProfileDescription = {
    schemaVersion: PROFILE_SCHEMA_VERSION,
    profile: name,
    summary,
    columns: [...columns],
    ...{ checkpoint, checkpointSha256, runId, tokens, metric, definition, settingsHash, engine, precision },
  };
  // Written last: a profile with its description is whole.
  await writeFileAtomic(descriptionPath(path), `${JSON.stringify(description, null, 2)}\n`);
  return path;
}

/** Path of a profile of this measurement that is there already. */
export async function findProfile(
  folder: string,
  measurement: SparsityMeasurement,
  name: ProfileName,
  format: ProfileFormat,
): Promise<string | undefined> {
  const path = join(folder, profileFileName(measurement, name, format));
  if (!existsSync(path) || !existsSync(descriptionPath(path))) return undefined;
  // A damaged description or one of another version is written anew, not an error.
  const found = await readJson(descriptionPath(path), profileSchema).catch(() => undefined);
  const { checkpointSha256, engine, precision } = measurement;
  const isSame =
    found?.checkpointSha256 === checkpointSha256 && found.engine === engine && found.precision === precision;
  return isSame ? path : undefined;
}
