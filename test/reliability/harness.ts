import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type RandomStream, randomStream } from '../../src/random.js';
import { type Outcome, sparselaw } from '../cli/cli.js';
import { sparselawHere } from '../cli/in-process.js';
import { arm, type Fault } from './fault.mjs';

/** One command whose crashes are studied. */
export interface Subject {
  name: string;
  /** Makes what the command needs, once; copied for each trial. */
  prepare(folder: string): Promise<void>;
  /** The command line; `again` is true after a crash. */
  args(again: boolean): string[];
  /** Begins the command line of the process that is struck, where that is a child of the command. */
  struck?: string;
  /** What a user types after a crash, in order; without it the command again. The last must go well. */
  recover?: readonly string[][];
  /** It refuses to write what is there already, so a kill after its last write leaves nothing to repeat. */
  writesOnce?: boolean;
  /** What a finished command must leave, whatever happened on the way: a text or hash for each file. */
  result(folder: string): Promise<Record<string, string>>;
}

export type DiskFault = Extract<Fault['kind'], `E${string}`>;

const PRELOAD = `--import=${pathToFileURL(join(import.meta.dirname, 'fault.mjs')).href}`;

/** What has been preloaded must not be lost: the program does not start anew, with huge pages. */
export const STAYS = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=0' };

/** Runs the program in a folder; with `fault`, its disk operation number `at` in that folder is struck. */
export type RunWithFault = (folder: string, args: string[], fault?: Omit<Fault, 'under'>) => Promise<Outcome>;

/** In a process of its own. */
export const runWithFault: RunWithFault = (folder, args, fault) => {
  const env = fault
    ? { ...STAYS, NODE_OPTIONS: PRELOAD, SPARSELAW_FAULT: JSON.stringify({ under: folder, ...fault }) }
    : {};
  return sparselaw([...args, '--quiet'], { cwd: folder, env });
};

/** In this process, several times faster; nothing can be killed. */
export const runHereWithFault: RunWithFault = async (folder, args, fault) => {
  arm(fault && { under: folder, ...fault });
  try {
    return await sparselawHere([...args, '--quiet'], { cwd: folder });
  } finally {
    arm();
  }
};

/** Lets the command recover. @returns what is wrong with what it leaves; undefined when nothing is */
export async function recovered(
  { subject, expected }: Study,
  folder: string,
  run = runWithFault,
): Promise<string | undefined> {
  let last: Outcome | undefined;
  for (const args of subject.recover ?? [subject.args(true)]) last = await run(folder, args);
  if (last!.status !== 0) return `does not recover: ${last!.stderr}`;
  return difference(expected, await subject.result(folder), leftovers(folder));
}

export interface Study {
  subject: Subject;
  /** Holds the prepared input. */
  source: string;
  /** Every disk operation of an undisturbed command, in order, as `rename table.csv`. */
  operations: string[];
  /** What an undisturbed command leaves. */
  expected: Record<string, string>;
  /** What it takes, in milliseconds. */
  duration: number;
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
  const began = performance.now();
  const counting = { kind: 'count' as const, log, in: subject.struck };
  const { status, stderr } = await runWithFault(folder, subject.args(false), counting);
  const duration = performance.now() - began;
  if (status !== 0) throw new Error(`${subject.name} failed undisturbed: ${stderr}`);
  // Of several processes that may be struck, the first: the others do alike.
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  const first = lines[0]!.split(' ')[0];
  const operations = lines
    .filter((line) => line.startsWith(`${first} `))
    .map((line) => line.slice(first!.length + 1));
  return {
    subject,
    source,
    operations,
    expected: await subject.result(folder),
    duration,
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
  /** Kills before the end, by what was being done. */
  places: Map<string, number>;
  failures: string[];
}

/** One kill in so many comes at a random moment from outside; the others at a disk operation, as it is half done. */
const KILLS_PER_MOMENT = 4;
/** A command that goes on has less to do, so many kills come too late. */
const MAX_TRIES = 5;

/**
 * Kills the command at disk operations drawn at random, each kind as often as another, and at random moments, most
 * often again while it recovers, then lets it finish: it must leave exactly what it leaves undisturbed.
 * @param kills those that came before the end
 */
export async function killStudy(study: Study, kills: number, seed: number): Promise<KillReport> {
  const { subject } = study;
  const stream = randomStream(seed, `kills of ${subject.name}`);
  const report: KillReport = { kills: 0, struck: 0, trials: 0, places: new Map(), failures: [] };
  while (report.struck < kills && report.kills < MAX_TRIES * kills) {
    const folder = trialFolder(study, 'kill');
    const points: string[] = [];
    let left = study.operations.length;
    do {
      const { point, place, status, at } = await killOnce(study, folder, left, points.length > 0, stream);
      points.push(point);
      // What goes on has less to do; it may also tidy up first.
      left = Math.max(1, left - at + 2);
      report.kills++;
      if (status === 0) continue;
      report.struck++;
      report.places.set(place, (report.places.get(place) ?? 0) + 1);
    } while (stream.integer(3) > 0 && report.struck < kills);
    report.trials++;
    const problem = await recovered(study, folder);
    if (problem) report.failures.push(`killed at ${points.join(', ')}: ${problem}`);
  }
  return report;
}

/** One kill: where it came, as told and as counted, and the command's exit status, 0 where it came too late. */
async function killOnce(
  { subject, operations, duration }: Study,
  folder: string,
  left: number,
  again: boolean,
  stream: RandomStream,
): Promise<{ point: string; place: string; status: number | null; at: number }> {
  const args = subject.args(again);
  if (stream.integer(KILLS_PER_MOMENT) === 0) {
    const killAfterMs = 1 + stream.integer(Math.ceil(duration));
    const { status } = await sparselaw([...args, '--quiet'], { cwd: folder, killAfterMs });
    return { point: `${killAfterMs} ms`, place: 'random moment', status, at: 0 };
  }
  const at = drawPlace(operations, left, stream);
  const { status } = await runWithFault(folder, args, { kind: 'kill', at, in: subject.struck });
  // The first time round the operation is known; later ones are counted from the end.
  const operation = operations[operations.length - left + at - 1] ?? operations.at(-1)!;
  return { point: `${at} (${operation})`, place: placeOf(operation), status, at };
}

/** What differs between operations of one kind: numbers of checkpoints, and names of temporary files and of runs. */
const withoutNumbers = (operation: string) => operation.replace(/tmp-[^/]*|\d{15}|[0-9a-f]{8,}/g, '');

/**
 * Draws an operation of the last `left`: each kind is as likely as another, so that the many parts of a large file
 * do not hide a rename. @returns its number among the last, from 1
 */
function drawPlace(operations: readonly string[], left: number, stream: RandomStream): number {
  const kinds = new Map<string, number[]>();
  for (const [index, operation] of operations.slice(-left).entries()) {
    const kind = withoutNumbers(operation);
    kinds.set(kind, [...(kinds.get(kind) ?? []), index + 1]);
  }
  const places = [...kinds.values()][stream.integer(kinds.size)]!;
  return places[stream.integer(places.length)]!;
}

/** What an operation writes, by its path. */
function placeOf(operation: string): string {
  if (/\.lock/.test(operation)) return 'lock';
  if (/(^|\/)\.?\d{15}/.test(operation) && !/sparsity/.test(operation)) return 'checkpoint';
  if (/sparsity/.test(operation)) return 'measurement';
  if (/metrics\.jsonl/.test(operation)) return 'log';
  if (/status|sweep\.json/.test(operation)) return 'sweep bookkeeping';
  return /corpus/.test(operation) ? 'corpus' : (/[\w-]+\.(csv|json|html)/.exec(operation)?.[0] ?? 'other');
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

/**
 * Fails the command with an error of the disk at operation `at`, checks its one line and that it then recovers.
 * What fails here is tried again in processes: a living one keeps locks and temporary files that a dead one loses.
 */
export async function faultTrial(study: Study, kind: DiskFault, at: number): Promise<string | undefined> {
  const { subject, operations } = study;
  const attempt = async (run: RunWithFault) => {
    const folder = trialFolder(study, kind);
    const outcome = await run(folder, subject.args(false), { kind, at, in: subject.struck });
    const problem = problemOf(outcome);
    // What goes on although something failed must have done all it does.
    if (problem || outcome.status === 0) return problem ?? (await unfinished(study, folder));
    return recovered(study, folder, run);
  };
  const here = subject.struck === undefined ? await attempt(runHereWithFault) : 'not tried';
  const problem = here && (await attempt(runWithFault));
  return problem && `${kind} at ${at} (${operations[at - 1]}): ${problem}`;
}

const unfinished = async ({ subject, expected }: Study, folder: string) =>
  difference(expected, await subject.result(folder), []);

/** What only tidies up may fail in silence; everything else must say which file, with status 3. */
function problemOf({ status, stderr }: Outcome, says = /^Error: Cannot (read|write) \S/): string | undefined {
  const message = stderr.replace(/\s*\n?\s*›\s*/g, ' ').trim();
  if (/\n\s+at /.test(stderr)) return `shows a stack: ${stderr}`;
  // A sweep whose task failed says 4, and the task's log has its line.
  if (status !== 0 && status !== 3 && status !== 4) return `status ${status}, ${message}`;
  if (status === 3 && !says.test(message)) return `says "${message}"`;
  return undefined;
}

/**
 * Takes the whole folder away when operation `at` begins: the command says so, or leaves something that was not in
 * the folder yet; in a new copy of its input it then does as ever.
 */
export async function vanishTrial(study: Study, at: number): Promise<string | undefined> {
  const { subject, operations } = study;
  const folder = trialFolder(study, 'vanish');
  const fault = { kind: 'vanish' as const, at, in: subject.struck };
  // Where an input is gone, or the lock, other words say so.
  let problem = problemOf(await runWithFault(folder, subject.args(false), fault), /^Error: .*\w/);
  problem ??= await recovered(study, trialFolder(study, 'vanish'));
  return problem && `vanished at ${at} (${operations[at - 1]}): ${problem}`;
}

/** On a slow disk the command does as ever. */
export async function slowTrial(study: Study): Promise<string | undefined> {
  const { subject, expected } = study;
  const folder = trialFolder(study, 'slow');
  const fault = { kind: 'slow' as const, in: subject.struck };
  const { status, stderr } = await runWithFault(folder, subject.args(false), fault);
  if (status !== 0) return `on a slow disk: status ${status}, ${stderr}`;
  return difference(expected, await subject.result(folder), leftovers(folder));
}
