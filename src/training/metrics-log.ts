import { open } from 'node:fs/promises';
import { z } from 'zod';
import { type MetricsRow, metricsRowSchema, runPaths } from '../files/run.js';
import { writeFileAtomic } from '../io/atomic.js';
import { pathExists } from '../io/exists.js';
import { withFile } from '../io/file-error.js';
import { appendJsonl, readJsonl } from '../io/jsonl.js';
import type { TensorboardLog } from './tensorboard.js';

/** Rows wait at most about this long, so that a run can be watched. */
const FLUSH_MS = 5000;

/** Appends to metrics.jsonl; rows wait in memory until `flush`. */
export interface MetricsLog {
  add(row: MetricsRow): void;
  /** Whether rows have waited long enough to be shown. */
  isDue(): boolean;
  /** Writes what waits; with `sync`, onto the disk. */
  flush(sync?: boolean): Promise<void>;
}

/** @param tensorboard gets the same rows */
export function openMetricsLog(run: string, tensorboard?: TensorboardLog): MetricsLog {
  const path = runPaths(run).metrics;
  let waiting: MetricsRow[] = [];
  let flushedAt = performance.now();
  // Rows go to the file in their order, whoever asks while others are still being written.
  let writing: Promise<void> = Promise.resolve();
  const write = async (sync: boolean): Promise<void> => {
    const rows = waiting;
    waiting = [];
    flushedAt = performance.now();
    if (rows.length > 0) await appendJsonl(path, rows);
    if (rows.length > 0) await tensorboard?.write(rows);
    if (sync) await syncFile(path);
  };
  return {
    add: (row) => {
      waiting.push(row);
    },
    isDue: () => waiting.length > 0 && performance.now() - flushedAt > FLUSH_MS,
    flush(sync = false) {
      const turn = writing.then(() => write(sync));
      writing = turn.catch(() => undefined);
      return turn;
    },
  };
}

async function syncFile(path: string): Promise<void> {
  await withFile('write', path, async () => {
    const handle = await open(path, 'a');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/**
 * Cuts metrics.jsonl back to a step: rows past it (and what a crash left of a last line) move to
 * metrics.discarded.jsonl. Interrupted anywhere, calling it again ends the same.
 * @returns how many rows were moved
 */
export async function rewindMetrics(run: string, step: number): Promise<number> {
  const paths = runPaths(run);
  if (!(await pathExists(paths.metrics))) return 0;
  const { rows, torn } = await readJsonl(paths.metrics, metricsRowSchema);
  const kept = rows.filter((row) => row.step <= step);
  const cut: unknown[] = rows.filter((row) => row.step > step);
  if (torn !== undefined) cut.push({ torn });
  if (cut.length === 0) return 0;
  const before = (await pathExists(paths.discardedMetrics))
    ? (await readJsonl(paths.discardedMetrics, z.unknown())).rows
    : [];
  const known = new Set(before.map((row) => JSON.stringify(row)));
  const fresh = cut.filter((row) => !known.has(JSON.stringify(row)));
  if (fresh.length > 0) await appendJsonl(paths.discardedMetrics, fresh);
  await writeFileAtomic(paths.metrics, kept.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return cut.length;
}
