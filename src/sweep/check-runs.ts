import { resolve } from 'node:path';
import { inputError, SparselawError } from '../errors.js';
import { readManifest } from '../files/manifest.js';
import { RUN_SCHEMA_VERSION, runPaths } from '../files/run.js';
import { pathExists } from '../io/exists.js';
import { printable } from '../io/printable.js';
import { readProvenance } from '../training/provenance.js';
import { continueConfig, readRunConfig } from '../training/run-folder.js';
import { sweepPaths } from './paths.js';
import { refuseOtherVersion, type Sweep, type SweepRun } from './sweep-file.js';

/**
 * Checks that what lies in the runs' folders is what the sweep would make or continue: the same version,
 * configuration and corpus.
 * @throws SparselawError (status 3) naming the first run that does not fit, before anything is changed
 */
export async function checkRuns(folder: string, sweep: Pick<Sweep, 'folder' | 'runs'>): Promise<void> {
  const hashes = new Map<string, Promise<string>>();
  const problems: SparselawError[] = [];
  for (const run of sweep.runs) {
    try {
      await checkRun(sweepPaths(folder).run(run.id), run, sweep.folder, hashes);
    } catch (error) {
      if (!(error instanceof SparselawError)) throw error;
      problems.push(error);
    }
  }
  const [first, ...others] = problems;
  if (!first) return;
  const more = others.length > 0 ? ` (and ${others.length} more runs that do not fit)` : '';
  const { exitStatus, code, suggestions, cause } = first;
  throw new SparselawError(first.message + more, exitStatus, { code, suggestions, cause });
}

async function checkRun(
  path: string,
  { config }: SweepRun,
  cwd: string,
  hashes: Map<string, Promise<string>>,
): Promise<void> {
  const paths = runPaths(path);
  if (!(await pathExists(paths.config))) return;
  for (const file of [paths.provenance, paths.done]) {
    if (await pathExists(file)) await refuseOtherVersion(file, RUN_SCHEMA_VERSION);
  }
  const away = `Move ${printable(path)} away to train it again.`;
  try {
    continueConfig(path, config, await readRunConfig(path));
  } catch (error) {
    if (!(error instanceof SparselawError)) throw error;
    const { message, exitStatus, code, cause } = error;
    const suggestions = [`Undo the change of ${printable(paths.config)}.`, away];
    throw new SparselawError(message, exitStatus, { code, suggestions, cause });
  }
  const provenance = await readProvenance(path);
  if (!provenance) return;
  const data = resolve(cwd, config.data);
  if (!hashes.has(data))
    hashes.set(
      data,
      readManifest(data).then(({ sha256 }) => sha256),
    );
  const here = await hashes.get(data)!;
  const there = provenance.data.manifestSha256;
  if (here === there) return;
  throw inputError(
    `${printable(path)} was trained on another corpus than ${printable(config.data)}: its hash is ` +
      `${there.slice(0, 12)}…, this one's ${here.slice(0, 12)}….`,
    {
      code: 'other-data',
      suggestions: ['Put the corpus back that the sweep began with, or choose another --out.', away],
    },
  );
}
