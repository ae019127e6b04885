import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { randomStream } from '../../src/random.js';
import { type Outcome, sparselaw } from '../cli/cli.js';

/** One command whose crashes are studied. */
export interface Subject {
  name: string;
  /** Makes what the command needs, once; copied for each trial. */
  prepare(folder: string): Promise<void>;
  /** The command line; `again` is true after a crash. */
  args(again: boolean): string[];
  /** What a finished command must leave, whatever happened on the way: a text or hash for each file. */
  result(folder: string): Promise<Record<string, string>>;
}

export type FaultKind = 'kill' | 'ENOSPC' | 'EACCES' | 'EIO';

const PRELOAD = `--import=${pathToFileURL(join(import.meta.dirname, 'fault.mjs')).href}`;

/** Runs the program in a folder; with `fault`, its disk operation number `at` in that folder is struck. */
export function runWithFault(
  folder: string,
  args: string[],
  fault?: { kind: FaultKind | 'count'; at?: number; log?: string },
): Promise<Outcome> {
  const env = fault
    ? { NODE_OPTIONS: PRELOAD, SPARSELAW_FAULT: JSON.stringify({ under: folder, ...fault }) }
    : {};
  return sparselaw([...args, '--quiet'], { cwd: folder, env });
}

export interface Study {
  subject: Subject;
  /** Holds the prepared input. */
  source: string;
  /** Every disk operation of an undisturbed command, in order, as `rename table.csv`. */
  operations: string[];
  /** What an undisturbed command leaves. */
  expected: Record<string, string>;
  remove(): void;
}

/** Prepares the input, and runs the command once undisturbed. */
export async function openStudy(subject: Subject): Promise<Study> {
  const root = mkdtempSync(join(tmpdir(), `sparselaw-${subject.name.replaceAll(' ', '-')}-`));
  const source = join(root, 'source');
  await subject.prepare(source);
  const folder = join(root, 'whole');
  cpSync(source, folder, { recursive: true });
  const log = join(root, 'operations');
  const { status, stderr } = await runWithFault(folder, subject.args(false), { kind: 'count', log });
  if (status !== 0) throw new Error(`${subject.name} failed undisturbed: ${stderr}`);
  const operations = readFileSync(log, 'utf8').trim().split('\n');
  return {
    subject,
    source,
    operations,
    expected: await subject.result(folder),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** A fresh copy of the study's input. */
export function trialFolder({ source }: Study, name: string): string {
  const folder = join(source, '..', `trial-${name}`);
  rmSync(folder, { recursive: true, force: true });
  cpSync(source, folder, { recursive: true });
  return folder;
}

/** Names that a finished command must not leave: temporary files and locks. */
export function leftovers(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /(^|\/)\.|\.tmp|\.lock/.test(path),
  );
}

export interface KillReport {
  kills: number;
  /** Kills that came before the process had ended by itself. */
  struck: number;
  trials: number;
  failures: string[];
}

/**
 * Kills the command at disk operations drawn at random (so what writes much is struck often), most often
 * again while it recovers, then lets it finish: it must leave exactly what it leaves undisturbed.
 */
export async function killStudy(study: Study, kills: number, seed: number): Promise<KillReport> {
  const { subject, operations, expected } = study;
  const stream = randomStream(seed, `kills of ${subject.name}`);
  const report: KillReport = { kills: 0, struck: 0, trials: 0, failures: [] };
  while (report.kills < kills) {
    const folder = trialFolder(study, 'kill');
    const points: number[] = [];
    do {
      const at = 1 + stream.integer(operations.length);
      const { status } = await runWithFault(folder, subject.args(points.length > 0), { kind: 'kill', at });
      points.push(at);
      report.kills++;
      if (status === null) report.struck++;
    } while (stream.integer(3) > 0 && report.kills < kills);
    report.trials++;
    const { status, stderr } = await runWithFault(folder, subject.args(true));
    const problem =
      status === 0 ? difference(expected, await subject.result(folder), leftovers(folder)) : stderr;
    if (problem)
      report.failures.push(
        `killed at ${points.map((at) => `${at} (${operations[at - 1]})`).join(', ')}: ${problem}`,
      );
  }
  return report;
}

export function difference(
  expected: Record<string, string>,
  found: Record<string, string>,
  left: string[],
): string | undefined {
  const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
  const changed = [...names].filter((name) => expected[name] !== found[name]);
  if (changed.length > 0) return `differs in ${changed.join(', ')}`;
  return left.length > 0 ? `leaves ${left.join(', ')}` : undefined;
}

/** Fails the command with an error of the disk at operation `at`, checks its one line and that it then recovers. */
export async function faultTrial(study: Study, kind: FaultKind, at: number): Promise<string | undefined> {
  const { subject, operations, expected } = study;
  const folder = trialFolder(study, kind);
  const where = `${kind} at ${at} (${operations[at - 1]})`;
  const { status, stderr } = await runWithFault(folder, subject.args(false), { kind, at });
  const message = stderr.replace(/\s*\n?\s*›\s*/g, ' ').trim();
  // What only tidies up may fail in silence; everything else must say which file, with status 3.
  if (status !== 0 && status !== 3) return `${where}: status ${status}, ${message}`;
  if (status === 3 && !/^Error: Cannot (read|write) /.test(message)) return `${where}: says "${message}"`;
  if (/\n\s+at /.test(stderr)) return `${where}: shows a stack`;
  const again = await runWithFault(folder, subject.args(true));
  if (again.status !== 0) return `${where}: does not recover, ${again.stderr}`;
  const problem = difference(expected, await subject.result(folder), leftovers(folder));
  return problem && `${where}: ${problem}`;
}
