import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { readState } from '../checkpoint/state.js';
import { inputError } from '../errors.js';
import { checkpointPaths, listCheckpoints, runPaths } from '../files/run.js';
import { mapBounded } from '../io/bounded.js';
import { readCsv } from '../io/csv.js';
import { readJson } from '../io/json.js';
import { printable } from '../io/printable.js';

/** One checkpoint to measure, and where its results go. */
export interface Target {
  kind: 'own' | 'foreign';
  path: string;
  /** Name of the checkpoint's folder. */
  checkpoint: string;
  /** Folder of the run it lies in (own checkpoints). */
  run?: string;
  runId: string | null;
  tokens: number | null;
  step: number | null;
}

const isOwn = async (checkpoint: string) => {
  const { config, state } = checkpointPaths(checkpoint);
  if (!existsSync(config) || !existsSync(state)) return false;
  return 'sparselaw' in (await readJson(config, z.looseObject({})));
};

/**
 * The checkpoints that a path names: all of a run, one of ours, or a folder as transformers writes it.
 * @throws SparselawError (status 3) for anything else
 */
export async function resolveTarget(path: string): Promise<Target[]> {
  if (existsSync(runPaths(path).checkpoints)) {
    const entries = await listCheckpoints(path);
    if (entries.length === 0) {
      throw inputError(`${printable(path)} has no checkpoints yet.`, { code: 'no-checkpoints' });
    }
    return mapBounded(entries, (entry) => ownTarget(entry.path, path));
  }
  if (!existsSync(path)) {
    throw inputError(`${printable(path)} does not exist.`, { code: 'missing-file' });
  }
  if (await isOwn(path)) return [await ownTarget(path, runOf(path))];
  if (existsSync(join(path, 'config.json'))) {
    const checkpoint = basename(resolve(path));
    return [{ kind: 'foreign', path, checkpoint, runId: null, tokens: null, step: null }];
  }
  throw inputError(
    `${printable(path)} is neither a run folder nor a checkpoint: no checkpoints/, no config.json.`,
    { code: 'not-a-checkpoint', suggestions: ['Give RUN, RUN/checkpoints/NAME or a Hugging Face folder.'] },
  );
}

/** The run that a checkpoint's folder lies in; a copy elsewhere has none, and is measured like a foreign one. */
function runOf(checkpoint: string): string | undefined {
  const checkpoints = dirname(resolve(checkpoint));
  const run = dirname(checkpoints);
  return runPaths(run).checkpoints === checkpoints && existsSync(runPaths(run).config) ? run : undefined;
}

async function ownTarget(path: string, run: string | undefined): Promise<Target> {
  const { state } = await readState(checkpointPaths(path).state);
  return {
    kind: 'own',
    path,
    checkpoint: basename(resolve(path)),
    run: run && resolve(run),
    runId: run === undefined ? null : basename(resolve(run)),
    tokens: state.tokens,
    step: state.step,
  };
}

const SERIES_COLUMNS = ['checkpoint', 'run_id', 'tokens', 'step'];

/**
 * Gives checkpoints the run, tokens and step that a CSV file lists for their folder's name; `run_id` and `step`
 * may be empty.
 * @throws SparselawError (status 3) naming the missing column, the bad cell, or a foreign checkpoint not listed
 */
export async function placeInSeries(targets: readonly Target[], csv: string): Promise<Target[]> {
  const { columns, rows, lines } = await readCsv(csv);
  for (const column of ['checkpoint', 'tokens']) {
    if (columns.includes(column)) continue;
    throw inputError(`${printable(csv)} has no column "${column}".`, {
      code: 'missing-column',
      suggestions: [`Give it the columns ${SERIES_COLUMNS.join(', ')}.`],
    });
  }
  const whole = (text: string | undefined, line: number, column: string): number | null => {
    if (text === undefined || text.trim() === '') return null;
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw inputError(`${printable(csv)}:${line}: "${printable(text)}" in ${column} is no whole number.`, {
      code: 'bad-value',
    });
  };
  const places = new Map(
    rows.map((row, i) => [
      row.checkpoint,
      {
        runId: row.run_id?.trim() || null,
        tokens: whole(row.tokens, lines[i]!, 'tokens'),
        step: whole(row.step, lines[i]!, 'step'),
      },
    ]),
  );
  return targets.map((target) => {
    const place = places.get(target.checkpoint);
    if (place) return { ...target, ...place, runId: place.runId ?? target.runId };
    if (target.kind === 'own') return target;
    throw inputError(`${printable(csv)} does not list the checkpoint ${printable(target.checkpoint)}.`, {
      code: 'not-in-series',
      suggestions: ["List every target by its folder's name, or leave it out."],
    });
  });
}
