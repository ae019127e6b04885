// Preloaded into the program (`NODE_OPTIONS=--import`): appends a line of JSON about its memory and open files to
// SPARSELAW_SAMPLES twice a second.
import { appendFileSync, readdirSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const log = process.env.SPARSELAW_SAMPLES;
const began = performance.now();
if (log && isMainThread) {
  delete process.env.SPARSELAW_SAMPLES;
  setInterval(() => {
    const { rss, heapUsed, external } = process.memoryUsage();
    const files = readdirSync('/proc/self/fd').length;
    const seconds = (performance.now() - began) / 1000;
    appendFileSync(log, `${JSON.stringify({ seconds, rss, heapUsed, external, files })}\n`);
  }, 500).unref();
}
