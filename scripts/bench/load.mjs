/**
 * How fast a Hugging Face checkpoint's weights are read, beside its file alone (one that is not sharded).
 *
 *   npm run build && node scripts/bench/load.mjs FOLDER [ROUNDS]
 *
 * Each time the system is asked to forget the file before (coreutils' dd). One JSON line a round: seconds of the file
 * alone and of the weights, as float32 and checked, and the processor seconds of the latter. Nothing is kept of them.
 */
import { spawnSync } from 'node:child_process';
import { createReadStream, statSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel } from '../../dist/src/sparsity/load.js';

const [folder, rounds = '3'] = process.argv.slice(2);
const file = join(folder, 'model.safetensors');

async function seconds(work) {
  // Only what is on the disk can be forgotten.
  spawnSync('sync', [file]);
  spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0']);
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function readFile() {
  for await (const _ of createReadStream(file, { highWaterMark: 2 ** 24 }));
}

const target = { kind: 'foreign', path: folder, checkpoint: '', runId: null, tokens: null, step: null };
for (let round = 0; round < Number(rounds); round++) {
  const fileSeconds = await seconds(readFile);
  const before = process.cpuUsage();
  const loadSeconds = await seconds(async () => {
    for await (const _ of (await loadModel(target)).model.tensors());
  });
  const { user, system } = process.cpuUsage(before);
  const gigabytes = statSync(file).size / 1e9;
  console.log(
    JSON.stringify({ gigabytes, fileSeconds, loadSeconds, processorSeconds: (user + system) / 1e6 }),
  );
}
