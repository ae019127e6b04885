import { spawnSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { loadModel } from '../../src/sparsity/load.js';
import { writeSyntheticLlama } from './synthetic-llama.js';

vi.setConfig({ testTimeout: 600_000 });

/** Asks the system to forget what it holds of a file (coreutils' dd); where that cannot be done, reading is faster. */
function forget(file: string): void {
  // Only what is on the disk can be forgotten.
  spawnSync('sync', [file]);
  spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0']);
}

/** Seconds to read a file as it is, a few megabytes at a time. */
async function secondsToRead(file: string): Promise<number> {
  forget(file);
  const start = performance.now();
  for await (const _ of createReadStream(file, { highWaterMark: 2 ** 24 }));
  return (performance.now() - start) / 1000;
}

/**
 * 32 layers of 4096 would be a 7B of 13.5 GB; the file here has its tensors and fewer layers. The device takes each
 * tensor and keeps nothing, as one with memory of its own does: what is left is the host's.
 */
it('holds less than 1.2 times the file on the host while a bfloat16 checkpoint is read', async () => {
  const layers = Number(process.env.SPARSELAW_LOAD_LAYERS ?? 4);
  const folder = await mkdtemp(join(tmpdir(), 'sparselaw-load-'));
  try {
    const bytes = await writeSyntheticLlama(folder, { layers, width: 4096, ff: 11008, vocab: 32000 });
    const target = { kind: 'foreign', path: folder, checkpoint: 'x', runId: null, tokens: null, step: null };
    const file = join(folder, 'model.safetensors');
    const disk = await secondsToRead(file);
    forget(file);
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const { model } = await loadModel(target as Parameters<typeof loadModel>[0]);
    let peak = 0;
    for await (const [, { values }] of model.tensors()) {
      expect(values.length).toBeGreaterThan(0);
      peak = Math.max(peak, process.memoryUsage().rss - before);
    }
    const seconds = (performance.now() - start) / 1000;
    console.log(
      `${(bytes / 1e9).toFixed(2)} GB read in ${seconds.toFixed(1)} s (${(bytes / 1e9 / seconds).toFixed(2)} GB/s), the file alone in ${disk.toFixed(1)} s, ` +
        `host memory ${(peak / 1e9).toFixed(2)} GB, ${(peak / bytes).toFixed(2)} times the file`,
    );
    expect(peak).toBeLessThan(1.2 * bytes);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
