// Plots what test/reliability/long-run.long.test.ts keeps (SPARSELAW_TEST_KEEP=FOLDER), with the report's own renderer:
// node scripts/memory-plot.mjs FOLDER OUT.svg
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderSvg } from '../dist/src/report/render.js';

const [folder, out] = process.argv.slice(2);
const rows = ['train', 'measure'].flatMap((command) =>
  readFileSync(join(folder, `${command}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .flatMap(({ seconds, rss, heapUsed, files, tensors, deviceBytes }) => [
      { command, seconds, what: 'resident (MB)', value: rss / 2 ** 20 },
      { command, seconds, what: 'JavaScript heap (MB)', value: heapUsed / 2 ** 20 },
      { command, seconds, what: 'open files', value: files },
      { command, seconds, what: 'tensors on the device', value: tensors },
      { command, seconds, what: 'device memory (kB)', value: deviceBytes / 2 ** 10 },
    ]),
);
const spec = {
  $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
  data: { values: rows },
  facet: { column: { field: 'command', sort: ['train', 'measure'], title: null } },
  resolve: { scale: { x: 'independent' } },
  spec: {
    width: 300,
    height: 200,
    mark: { type: 'line' },
    encoding: {
      x: { field: 'seconds', type: 'quantitative', title: 'seconds' },
      y: { field: 'value', type: 'quantitative', title: null, scale: { zero: true } },
      color: { field: 'what', title: null },
      strokeDash: { field: 'what', title: null },
    },
  },
};
writeFileSync(out, `${await renderSvg(spec)}\n`);
