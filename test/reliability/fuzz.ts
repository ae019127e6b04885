import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { SparselawError } from '../../src/errors.js';
import type { Format } from './formats.js';

/** Processor seconds that a reader may take over one file. */
const MAX_SECONDS = 2;
/** Names and values from a file are cut, so that a line stays one. */
const MAX_MESSAGE = 1500;
/** What could act on a terminal or break the line. */
const UNPRINTABLE = /[\p{Cc}\u202a-\u202e\u2066-\u2069\u2028\u2029]/u;

export interface FuzzReport {
  files: number;
  refused: number;
  slowestSeconds: number;
}

/** Reads mutated files: each is taken or refused in one clean line with status 3, in bounded time. */
export async function fuzz(format: Format, files: number, seed: number): Promise<FuzzReport> {
  const honest = existsSync(format.path) ? readFileSync(format.path) : undefined;
  const report: FuzzReport = { files: 0, refused: 0, slowestSeconds: 0 };
  const property = fc.asyncProperty(fc.oneof(...format.mutated), async (bytes) => {
    writeFileSync(format.path, bytes);
    report.files++;
    const before = process.cpuUsage();
    try {
      await format.read();
    } catch (error) {
      if (!(error instanceof SparselawError)) throw error;
      if (error.exitStatus !== 3) throw new Error(`status ${error.exitStatus}: ${error.message}`);
      const lines = [error.message, ...error.suggestions];
      if (lines.some((line) => UNPRINTABLE.test(line)))
        throw new Error(`unprintable: ${JSON.stringify(lines)}`);
      if (error.message.length > MAX_MESSAGE) throw new Error(`a line of ${error.message.length} characters`);
      report.refused++;
    }
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system) / 1e6;
    report.slowestSeconds = Math.max(report.slowestSeconds, seconds);
    if (seconds > MAX_SECONDS) throw new Error(`took ${seconds} s`);
  });
  try {
    await fc.assert(property, { numRuns: files, seed, endOnFailure: true });
  } finally {
    if (honest) writeFileSync(format.path, honest);
    else rmSync(format.path, { force: true });
  }
  return report;
}
