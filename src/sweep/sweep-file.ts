import { readdir } from 'node:fs/promises';
import { z } from 'zod';
import { configSchema } from '../config.js';
import { inputError } from '../errors.js';
import { writeFileAtomic } from '../io/atomic.js';
import { withFile } from '../io/file-error.js';
import { canonicalJson, sha256 } from '../io/hash.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';
import { gridSchema } from './grid-schema.js';
import { sweepPaths } from './paths.js';

/** Version of sweep.json. */
const SWEEP_SCHEMA_VERSION = 1;

/** sweep.json: what a sweep is to do. Executors read this, never the grid file, which may be edited meanwhile. */
const sweepSchema = z.object({
  schemaVersion: z.literal(SWEEP_SCHEMA_VERSION),
  grid: z.object({ path: z.string(), sha256: z.string() }),
  /** Where relative paths of the runs (their corpus) begin. */
  folder: z.string(),
  ...gridSchema.pick({ measure: true, table: true, fit: true, report: true, tensorboard: true, slurm: true })
    .shape,
  // Files are named by it: it may not lead out of the folder, nor be longer than a name can be.
  runs: z.array(z.object({ id: z.string().regex(/^\w[\w.-]{0,199}$/), config: configSchema })),
});
export type Sweep = z.output<typeof sweepSchema>;
export type SweepRun = Sweep['runs'][number];

/**
 * The sweep of a folder; undefined where there is none.
 * @throws SparselawError (status 3) when the folder is of another version or holds something else
 */
export async function readSweepIfThere(folder: string): Promise<Sweep | undefined> {
  const names = await withFile('read', folder, () =>
    readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code === 'ENOENT') return [];
      throw error;
    }),
  );
  const { sweep } = sweepPaths(folder);
  if (names.includes('sweep.json')) {
    await refuseOtherVersion(sweep, SWEEP_SCHEMA_VERSION);
    return readJson(sweep, sweepSchema);
  }
  const foreign = names.find((name) => !name.startsWith('.'));
  if (foreign === undefined) return undefined;
  throw inputError(`${printable(folder)} is not empty and not a sweep: it holds ${printable(foreign)}.`, {
    code: 'foreign-folder',
    suggestions: ['Choose another --out.'],
  });
}

/** @throws SparselawError (status 3) also where there is no sweep */
export async function readSweep(folder: string): Promise<Sweep> {
  const sweep = await readSweepIfThere(folder);
  if (sweep) return sweep;
  throw inputError(`${printable(folder)} holds no sweep.`, {
    code: 'no-sweep',
    suggestions: [`sparselaw sweep run GRID.yaml --out ${printable(folder)}`],
  });
}

export const writeSweep = (folder: string, sweep: Sweep): Promise<void> =>
  writeFileAtomic(sweepPaths(folder).sweep, `${JSON.stringify(sweep, null, 2)}\n`);

/** Tells one measuring of a run's checkpoints from another; null where nothing is measured. */
export const measureHash = ({ measure }: Pick<Sweep, 'measure'>): string | null =>
  measure.length === 0 ? null : sha256(canonicalJson(measure));

/** @throws SparselawError (status 3), one line, for a file that another version of the program wrote */
export async function refuseOtherVersion(path: string, version: number): Promise<void> {
  const { schemaVersion } = await readJson(path, z.looseObject({ schemaVersion: z.unknown() }));
  if (schemaVersion === version) return;
  throw inputError(
    `${printable(path)} was written by another version of sparselaw: its schemaVersion is ` +
      `${printable(JSON.stringify(schemaVersion) ?? 'missing')}, this one reads ${version}.`,
    {
      code: 'other-version',
      suggestions: ['Use the version that wrote it, or another --out; nothing was changed.'],
    },
  );
}
