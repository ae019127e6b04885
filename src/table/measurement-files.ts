import { readdir } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import { inputError } from '../errors.js';
import { listCheckpoints, runPaths } from '../files/run.js';
import { parseMeasurementFileName } from '../files/sparsity.js';
import { fileError } from '../io/file-error.js';
import { printable } from '../io/printable.js';

/** Deep enough for STUDY/runs/RUN and a sweep of studies; a wrong folder is given up soon. */
const MAX_DEPTH = 4;

/** A folder that holds measurements: a run, or a folder that `measure --out` wrote. */
export interface MeasuredFolder {
  path: string;
  /** Unique among the inputs: the folder's name, with parents in front where names repeat. */
  id: string;
  /** True for a run folder; false for measurements of foreign checkpoints. */
  isRun: boolean;
  /** Paths of the measurement files, in name order. */
  files: string[];
  /** Names of the checkpoint folders, in order; empty for foreign measurements. */
  checkpoints: string[];
}

/**
 * Run folders and folders of measurements at or below the inputs, in path order, each once.
 * @throws SparselawError (status 3) naming an input that is missing or holds neither
 */
export async function findMeasuredFolders(inputs: readonly string[]): Promise<MeasuredFolder[]> {
  const found = new Map<string, Omit<MeasuredFolder, 'id'>>();
  for (const input of inputs) {
    const folders = await search(resolve(input), input, 0);
    if (folders.length === 0) {
      throw inputError(`${printable(input)} holds no run and no measurement.`, {
        code: 'no-run',
        suggestions: [
          'Give a run folder (with config.json and checkpoints/), a folder of runs, or what `measure --out` wrote.',
        ],
      });
    }
    for (const folder of folders) found.set(folder.path, folder);
  }
  const folders = [...found.values()].sort((a, b) => compareText(a.path, b.path));
  const ids = uniqueNames(folders.map((folder) => folder.path));
  return folders.map((folder, i) => ({ ...folder, id: ids[i]! }));
}

async function search(path: string, shown: string, depth: number): Promise<Omit<MeasuredFolder, 'id'>[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error) => {
    throw fileError(error, 'read', shown);
  });
  const folders = new Set(entries.filter((e) => e.isDirectory() || e.isSymbolicLink()).map((e) => e.name));
  const files = entries.filter((entry) => !folders.has(entry.name)).map((entry) => entry.name);
  if (files.includes('config.json') && (folders.has('checkpoints') || folders.has('sparsity'))) {
    return [
      {
        path,
        isRun: true,
        files: await measurementFiles(runPaths(path).sparsity),
        checkpoints: (await listCheckpoints(path)).map(({ name }) => name),
      },
    ];
  }
  const own = await measurementFiles(path, files);
  const measured = own.length > 0 ? [{ path, isRun: false, files: own, checkpoints: [] }] : [];
  if (depth === MAX_DEPTH) return measured;
  const below: Omit<MeasuredFolder, 'id'>[] = [];
  for (const name of [...folders].filter((name) => !name.startsWith('.')).sort(compareText)) {
    const child = entries.find((entry) => entry.name === name)!;
    // A link to a folder is followed at the top only, so that a loop of links ends.
    if (child.isDirectory() || depth === 0) below.push(...(await searchQuietly(join(path, name), depth + 1)));
  }
  return [...measured, ...below];
}

/** Below an input, what cannot be listed (a link to a file, a folder of somebody else) holds no run. */
const searchQuietly = (path: string, depth: number) => search(path, path, depth).catch(() => []);

async function measurementFiles(folder: string, names?: string[]): Promise<string[]> {
  const all = names ?? (await readdir(folder).catch(() => []));
  return all
    .filter((name) => parseMeasurementFileName(name) !== undefined)
    .sort(compareText)
    .map((name) => join(folder, name));
}

/** By code units: the same order on every machine, whatever its language. */
export const compareText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** Last path components, as many as it takes to tell all paths apart. */
export function uniqueNames(paths: readonly string[]): string[] {
  const names = paths.map((path) => basename(path));
  const repeated = new Set(names.filter((name, i) => names.indexOf(name) !== i));
  if (repeated.size === 0) return names;
  const common = commonParent(paths);
  return paths.map((path, i) =>
    repeated.has(names[i]!) ? relative(common, path).split(sep).join('/') : names[i]!,
  );
}

function commonParent(paths: readonly string[]): string {
  const split = paths.map((path) => path.split(sep));
  const first = split[0]!;
  let length = first.length - 1;
  for (const parts of split) {
    let same = 0;
    while (same < length && same < parts.length - 1 && parts[same] === first[same]) same++;
    length = same;
  }
  return first.slice(0, length).join(sep) || sep;
}
