import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { SparselawError } from '../../src/errors.js';
import type { Format } from './formats.js';

/** Processor seconds that a reader may take over one file. */
const MAX_SECONDS = 2;
/** Names and values from a file are cut, so that a line stays one. */
const MAX_MESSAGE = 1500;
/** What could act on a terminal or break the line. */
const UNPRINTABLE = /[\p{Cc}\u202a-\u202e\u2066-\u2069\u2028\u2029]/u;
/** So many are told; a reader that fails once mostly fails often. */
const MAX_FAILURES = 5;
/** Files are made so many at a time. A crash of the process leaves the file that caused it at the format's path. */
const BATCH = 500;

export interface FuzzReport {
  files: number;
  refused: number;
  slowestSeconds: number;
  /** Largest memory of the process above what it had when the first file was read, in MiB. */
  growthMiB: number;
  /** What went wrong, and where the file is kept. */
  failures: string[];
}

/** Linux: lets the largest resident size begin anew; elsewhere only what passes all before shows. */
function resetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Not Linux, or a system that lacks this.
  }
}
/** The largest resident size, in MiB. */
const peak = () => process.resourceUsage().maxRSS / 1024;

/** Reads mutated files: each is taken or refused in one clean line with status 3, in bounded time. */
export async function fuzz(format: Format, files: number, seed: number): Promise<FuzzReport> {
  const honest = existsSync(format.path) ? readFileSync(format.path) : undefined;
  const report: FuzzReport = { files: 0, refused: 0, slowestSeconds: 0, growthMiB: 0, failures: [] };
  // What refuses the honest file would refuse all.
  if (honest) await format.read();
  resetPeak();
  const before = peak();
  try {
    for (let start = 0; start < files; start += BATCH) {
      const numRuns = Math.min(BATCH, files - start);
      for (const bytes of fc.sample(fc.oneof(...format.mutated), { numRuns, seed: seed + start })) {
        await readOne(format, bytes, report);
        if (report.failures.length >= MAX_FAILURES) return report;
      }
    }
  } finally {
    report.growthMiB = peak() - before;
    if (honest) writeFileSync(format.path, honest);
    else rmSync(format.path, { force: true });
  }
  return report;
}

async function readOne(format: Format, bytes: Buffer, report: FuzzReport): Promise<void> {
  writeFileSync(format.path, bytes);
  report.files++;
  const before = process.cpuUsage();
  const problem = await format.read().then(
    () => undefined,
    (error) => {
      report.refused++;
      return problemOf(error);
    },
  );
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  report.slowestSeconds = Math.max(report.slowestSeconds, seconds);
  const failure = problem ?? (seconds > MAX_SECONDS ? `took ${seconds} s` : undefined);
  if (failure === undefined) return;
  const kept = join(mkdtempSync(join(tmpdir(), 'sparselaw-hostile-kept-')), basename(format.path));
  writeFileSync(kept, bytes);
  report.failures.push(`${failure} (${kept})`);
}

/** What is wrong with a refusal; undefined when nothing is. */
function problemOf(error: unknown): string | undefined {
  if (!(error instanceof SparselawError)) return String((error as Error)?.stack ?? error);
  if (error.exitStatus !== 3) return `status ${error.exitStatus}: ${error.message}`;
  const lines = [error.message, ...error.suggestions];
  if (lines.some((line) => UNPRINTABLE.test(line))) return `unprintable: ${JSON.stringify(lines)}`;
  return error.message.length > MAX_MESSAGE ? `a line of ${error.message.length} characters` : undefined;
}
