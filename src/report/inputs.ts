import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { inputError } from '../errors.js';
import { evaluationSchema, isEvaluationFileName } from '../files/evaluation.js';
import { type FitFile, fitFileSchema } from '../files/fit.js';
import {
  type Failure,
  failedSchema,
  type MetricsRow,
  metricsRowSchema,
  type Provenance,
  provenanceSchema,
  runPaths,
} from '../files/run.js';
import { type SparsityMeasurement, sparsitySchema } from '../files/sparsity.js';
import { changedTable, isTablePath, wasChanged } from '../files/table.js';
import { withFile } from '../io/file-error.js';
import { sha256File } from '../io/hash.js';
import { checkValue, parseJson, readJson, readTextFile } from '../io/json.js';
import { readJsonl } from '../io/jsonl.js';
import { printable } from '../io/printable.js';
import { buildTable } from '../table/build.js';
import {
  compareText,
  findMeasuredFolders,
  type MeasuredFolder,
  uniqueNames,
} from '../table/measurement-files.js';
import { readTable, type TableSource } from '../table/read-table.js';
import { type EvaluationSource, evaluationSource, readEvaluations } from './evaluations.js';
import { type ProfileSource, readProfiles } from './profiles.js';

export interface FitSource {
  path: string;
  sha256: string;
  file: FitFile;
}

export interface RunSource {
  id: string;
  path: string;
  config: Record<string, unknown>;
  provenance: Provenance | null;
  metrics: MetricsRow[];
  failure: Failure | null;
  measurements: SparsityMeasurement[];
}

export interface Sources {
  fits: FitSource[];
  tables: TableSource[];
  runs: RunSource[];
  evaluations: EvaluationSource[];
  profiles: ProfileSource[];
  /** Findings about the inputs that a reader of the report should know. */
  notes: string[];
}

/**
 * Reads fits, tables, measurements, run folders and folders of these.
 * @throws SparselawError (status 3) naming an input that is missing, broken or none of them
 */
export async function readSources(inputs: readonly string[]): Promise<Sources> {
  const sources: Sources = { fits: [], tables: [], runs: [], evaluations: [], profiles: [], notes: [] };
  const folders: string[] = [];
  const seen = new Set<string>();
  for (const input of inputs) {
    if (seen.has(resolve(input))) continue;
    seen.add(resolve(input));
    const info = await withFile('read', input, () => stat(input));
    if (info.isDirectory()) folders.push(input);
    else await readFileInput(input, sources);
  }
  for (const folder of folders) {
    for (const name of (await readdir(folder)).sort(compareText)) {
      const path = join(folder, name);
      const isStudyFile = /^fit.*\.json$/.test(name) || /^table.*\.(csv|parquet)$/.test(name);
      if (isStudyFile && !seen.has(resolve(path))) await readFileInput(path, sources);
    }
  }
  await readRuns(folders, sources);
  await addFittedTables(sources);
  if (sources.tables.length === 0 && sources.runs.some((run) => run.measurements.length > 0)) {
    const { rows } = await buildTable({ inputs: sources.runs.map(({ path }) => path), mixedPrecision: true });
    sources.tables.push({
      path: '',
      sha256: '',
      columns: ['run_id'],
      rows: rows.map((known) => ({ known, cells: {} })),
    });
  }
  return sources;
}

async function readFileInput(path: string, sources: Sources): Promise<void> {
  if (!/\.json$/i.test(path)) {
    await addTable(path, sources);
    return;
  }
  const value = parseJson(await readTextFile(path), path);
  if (typeof value === 'object' && value !== null && 'fits' in value) {
    sources.fits.push({ path, sha256: await sha256File(path), file: checkValue(value, fitFileSchema, path) });
  } else if (isEvaluationFileName(basename(path))) {
    const evaluation = checkValue(value, evaluationSchema, path);
    sources.evaluations.push(evaluationSource(evaluation, basename(dirname(path))));
  } else if (typeof value === 'object' && value !== null && 'metric' in value) {
    const measurement = checkValue(value, sparsitySchema, path);
    const id = measurement.runId ?? basename(path);
    const run = sources.runs.find((own) => own.id === id);
    if (run) run.measurements.push(measurement);
    else {
      const empty = { config: {}, provenance: null, metrics: [], failure: null };
      sources.runs.push({ id, path: dirname(path), ...empty, measurements: [measurement] });
    }
  } else {
    throw inputError(`${printable(path)} is neither a fit nor a measurement nor an evaluation.`, {
      code: 'unknown-input',
      suggestions: [
        'A report takes fit.json files, tables (.csv, .parquet), measurements, evaluations and run folders.',
      ],
    });
  }
}

async function addTable(path: string, sources: Sources): Promise<void> {
  const table = await readTable(path);
  sources.tables.push(table);
  if (await wasChanged(path, table.sha256)) sources.notes.push(changedTable(path));
}

async function readRuns(folders: readonly string[], sources: Sources): Promise<void> {
  const found: MeasuredFolder[] = [];
  for (const folder of folders) {
    const evaluations = await readEvaluations(folder);
    const hasOther = evaluations.length > 0 || sources.fits.some(({ path }) => dirname(path) === folder);
    const measured = await findMeasuredFolders([folder]).catch((error) => {
      if (hasOther) return [];
      throw error;
    });
    found.push(...measured);
    sources.evaluations.push(...evaluations);
    for (const { path } of measured) {
      if (path !== resolve(folder)) sources.evaluations.push(...(await readEvaluations(path)));
    }
  }
  const unique = [...new Map(found.map((folder) => [folder.path, folder])).values()];
  const ids = uniqueNames(unique.map(({ path }) => path));
  for (const { path } of unique) sources.profiles.push(...(await readProfiles(path)));
  for (const [i, folder] of unique.entries()) sources.runs.push(await readRun(folder, ids[i]!));
}

async function readRun(folder: MeasuredFolder, id: string): Promise<RunSource> {
  const paths = runPaths(folder.path);
  const measurements: SparsityMeasurement[] = [];
  for (const file of folder.files) measurements.push(await readJson(file, sparsitySchema));
  const optional = async <S extends z.ZodType>(path: string, schema: S): Promise<z.output<S> | null> =>
    (await exists(path)) ? readJson(path, schema) : null;
  return {
    id,
    path: folder.path,
    config: folder.isRun ? await readJson(paths.config, z.record(z.string(), z.unknown())) : {},
    provenance: await optional(paths.provenance, provenanceSchema),
    metrics: (await exists(paths.metrics)) ? (await readJsonl(paths.metrics, metricsRowSchema)).rows : [],
    failure: await optional(paths.failed, failedSchema),
    measurements,
  };
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A fit names the table it was made from: where that still lies there unchanged, its rows are part of the report. */
async function addFittedTables(sources: Sources): Promise<void> {
  for (const { path, file } of sources.fits) {
    if (sources.tables.some((table) => table.sha256 === file.table.sha256)) continue;
    const places = [
      file.table.path,
      join(dirname(path), file.table.path),
      join(dirname(path), basename(file.table.path)),
    ];
    let changed = false;
    for (const place of new Set(places)) {
      if (!isTablePath(place) || !(await exists(place))) continue;
      if ((await sha256File(place)) === file.table.sha256) {
        await addTable(place, sources);
        changed = false;
        break;
      }
      changed = true;
    }
    if (changed) {
      sources.notes.push(
        `${basename(file.table.path)} has changed since ${basename(path)} was made from it.`,
      );
    }
  }
}
