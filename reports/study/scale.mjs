// Criterion 5 of the study (README.md) on ratios: `node scale.mjs 52,151 310M,400M TABLE...` prints, for every activation
// and protocol, the activation ratio at as many tokens a parameter and at as many tokens for each size, and its slope per
// doubling of parameters with Student's 95 % interval. Between two checkpoints a straight line in ln D; a run that does not
// reach the tokens has no part in it. Then the same for the limits of SiLU's law that the fit.json beside each table calls
// `ok`, of all sizes and without the smallest and the largest. Needs a built clone (make).
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { isPoint, slopeOf } from './points.mjs';

const [perParameter, absolute, ...tables] = process.argv.slice(2);
const runs = new Map();
for (const row of tables.flatMap((path) => parse(readFileSync(path, 'utf8'), { columns: true }))) {
  if (!isPoint(row)) continue;
  const key = `${row.activation}|${row.shared_cett ? 'shared' : 'own'}|${row.run_id}`;
  runs.set(key, [...(runs.get(key) ?? []), row]);
}

/** The activation ratio (%) of one run's rows at `tokens`, or undefined outside of what was measured. */
function ratioAt(rows, tokens) {
  const points = rows.map((row) => [Math.log(row.tokens), 100 * row.activation_ratio]).sort((a, b) => a[0] - b[0]);
  // A run's end is its tokens in whole batches, which may lie a thousandth below those asked for.
  const want = Math.log(tokens) - points.at(-1)[0] < 0.001 ? Math.min(Math.log(tokens), points.at(-1)[0]) : Math.log(tokens);
  const right = points.findIndex(([x]) => x >= want);
  if (right < 1) return undefined;
  const [a, b] = [points[right - 1], points[right]];
  return a[1] + ((b[1] - a[1]) * (want - a[0])) / (b[0] - a[0]);
}

/** One line of the answer: the values (%) of each size and their slope per doubling, from [parameters, value] pairs. */
function printSlope(label, kind, found) {
  const sorted = [...found].sort(([a], [b]) => a - b);
  const sizes = new Set(sorted.map(([size]) => size)).size;
  const { slope, interval } =
    sorted.length > 2 && sizes > 1 ? slopeOf(sorted.map(([size]) => Math.log2(size)), sorted.map(([, value]) => value)) : {};
  const values = sorted.map(([size, value]) => `${(size / 1e6).toFixed(2)}M ${value.toFixed(2)}`).join(', ');
  console.log(`| ${label} | ${kind.replace('|', ' | ')} | ${values || '–'} | ${slope?.toFixed(2) ?? '–'} | ${interval?.map((v) => v.toFixed(2)).join(' to ') ?? '–'} |`);
}

const AMOUNTS = { M: 1e6, B: 1e9 };
const questions = [
  ...perParameter.split(',').map((k) => [`${k} tokens a parameter`, (size) => Number(k) * size]),
  ...absolute.split(',').map((d) => [`${d} tokens`, () => Number(d.slice(0, -1)) * AMOUNTS[d.at(-1)]]),
];
console.log('| at | activation | CETT bound | ratios (%) by size | a doubling | 95 % interval |');
console.log('| --- | --- | --- | --- | --- | --- |');
for (const [label, tokensOf] of questions) {
  for (const kind of [...new Set([...runs.keys()].map((key) => key.split('|').slice(0, 2).join('|')))].sort()) {
    const found = [...runs]
      .filter(([key]) => key.startsWith(`${kind}|`))
      .map(([, rows]) => [Number(rows[0].params_non_embedding), rows])
      .map(([size, rows]) => [size, ratioAt(rows, tokensOf(size))])
      .filter(([, ratio]) => ratio !== undefined);
    printSlope(label, kind, found);
  }
}

const limits = tables
  .flatMap((path) => JSON.parse(readFileSync(join(dirname(path), 'fit.json'), 'utf8')).fits)
  .filter((fit) => fit.law === 'convergent-power' && fit.verdict === 'ok' && fit.group.shared_cett)
  .map((fit) => [runs.get(`silu|shared|${fit.group.run_id}`), 100 * fit.limit.estimate])
  .filter(([rows]) => rows)
  .map(([rows, limit]) => [Number(rows[0].params_non_embedding), limit]);
const [smallest, largest] = [Math.min, Math.max].map((pick) => pick(...limits.map(([size]) => size)));
printSlope('limit', 'silu|shared', limits);
printSlope('limit, without the largest', 'silu|shared', limits.filter(([size]) => size !== largest));
printSlope('limit, without the smallest', 'silu|shared', limits.filter(([size]) => size !== smallest));
