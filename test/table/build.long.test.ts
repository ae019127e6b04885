import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { checkpointName } from '../../src/files/run.js';
import { buildTable } from '../../src/table/build.js';
import { measurement, writeRun } from './synthetic-run.js';

// Limits of time hold on a free machine.
it('joins 10,000 measurements in less than 10 seconds, 5 of processor time', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sparselaw-table-long-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const tokens = Array.from({ length: 1000 }, (_, i) => (i + 1) * 1024);
  for (let run = 0; run < 10; run++) {
    // As long as a real file: 16 layers and a search of 30 points.
    const long = {
      layers: Array.from({ length: 16 }, (_, i) => ({ ...measurement().layers[0]!, layer: i })),
      search: Array.from({ length: 30 }, (_, i) => ({ cett: i / 30, ratio: 1 + i / 300 })),
    };
    await writeRun(join(folder, `run-${run}`), {
      checkpoints: [],
      measurements: tokens.map((t) => measurement({ checkpoint: checkpointName(t), tokens: t, ...long })),
    });
  }
  const started = performance.now();
  const before = process.cpuUsage();
  const { rows } = await buildTable({ inputs: [folder] });
  const { user, system } = process.cpuUsage(before);
  expect(rows).toHaveLength(10_000);
  expect(performance.now() - started).toBeLessThan(10_000);
  expect((user + system) / 1e6).toBeLessThan(5);
});
