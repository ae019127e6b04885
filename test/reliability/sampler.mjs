// Preloaded into the program (`NODE_OPTIONS=--import`): appends a line of JSON about its memory, open files and the
// tensors on its device to SPARSELAW_SAMPLES twice a second.
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync, readdirSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const log = process.env.SPARSELAW_SAMPLES;
const began = performance.now();
if (log && isMainThread) {
  delete process.env.SPARSELAW_SAMPLES;
  let engine;
  subscribe('sparselaw:engine', (opened) => {
    engine = opened;
  });
  setInterval(() => {
    const { rss, heapUsed, external } = process.memoryUsage();
    const files = readdirSync('/proc/self/fd').length;
    const seconds = (performance.now() - began) / 1000;
    const { liveTensors: tensors = 0, bytesInUse: deviceBytes = 0 } = engine?.memory() ?? {};
    appendFileSync(
      log,
      `${JSON.stringify({ seconds, rss, heapUsed, external, files, tensors, deviceBytes })}\n`,
    );
  }, 500).unref();
}
