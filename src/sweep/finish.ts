import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runChild } from './child.js';
import type { FitSettings } from './grid-schema.js';
import { sweepPaths } from './paths.js';
import type { Sweep } from './sweep-file.js';

/** What follows the runs: table, fits and report, as command lines of this program. */
export function finishCommands(folder: string, sweep: Sweep): string[][] {
  const { runs } = sweepPaths(folder);
  const hasTable = sweep.table !== null && sweep.measure.length > 0;
  const table = hasTable ? [join(folder, sweep.table!)] : [];
  const commands: string[][] = [];
  if (hasTable) commands.push(['table', runs, '--out', ...table]);
  const fits: string[] = [];
  for (const fit of hasTable ? sweep.fit : []) {
    const out = join(folder, fit.out);
    commands.push(['fit', ...table, ...fitFlags(fit), '--out', out]);
    fits.push(out);
  }
  if (sweep.report !== null) {
    commands.push(['report', ...fits, ...table, runs, '--out', join(folder, sweep.report)]);
  }
  return commands;
}

function fitFlags(fit: FitSettings): string[] {
  const flag = (name: string, value: string | number | undefined) =>
    value === undefined ? [] : [name, String(value)];
  return [
    ...['--law', fit.law.join(',')],
    ...flag('--x', fit.x),
    ...flag('--y', fit.y),
    ...flag('--group', fit.group?.join(',')),
    ...fit.where.flatMap((condition) => ['--where', condition]),
    ...(fit.allPhases ? ['--all-phases'] : []),
    ...flag('--drop-first', fit.dropFirst),
    ...flag('--hold-out', fit.holdOut),
    ...flag('--bootstrap', fit.bootstrap),
    ...flag('--cluster', fit.cluster?.join(',')),
  ];
}

/** Whether a file that follows from the runs is missing or older than what became of a run. */
export async function isStale(folder: string, sweep: Sweep, ids: readonly string[]): Promise<boolean> {
  const paths = sweepPaths(folder);
  const outputs = finishCommands(folder, sweep).map((words) => words.at(-1)!);
  const made = await Promise.all(outputs.map(modified));
  const sources = [paths.sweep, ...ids.map((id) => paths.status(id))];
  const changed = Math.max(0, ...(await Promise.all(sources.map(modified))));
  return made.some((time) => time < changed);
}

const modified = (path: string): Promise<number> =>
  stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );

/** Runs the commands in turn. @returns the status of the first that failed, 0 when all went well */
export async function runFinish(
  commands: readonly string[][],
  program: string,
  signal: AbortSignal,
): Promise<number> {
  let first = 0;
  for (const words of commands) {
    if (signal.aborted) break;
    const { status } = await runChild([process.execPath, program, ...words, '--quiet'], {
      // The result of this command is its own: those of its stages are in their files.
      stdio: ['ignore', 'ignore', 'inherit'],
      signal,
    });
    first ||= status ?? 1;
  }
  return first;
}
