// The study's criteria (README.md, written before the runs) applied to its table: `node verdicts.mjs TABLE FIT [TOKENS]`.
// TOKENS are those the runs were trained on, where they were not measured to their end. Prints Markdown. Needs a built
// clone (make).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'csv-parse/sync';
import { findLaw } from '../../dist/src/laws/index.js';
import { EVALUATED, isPoint, mean, slopeOf } from './points.mjs';

const [tablePath, fitPath, trainedTokens] = process.argv.slice(2);
const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const rows = parse(readFileSync(tablePath, 'utf8'), { columns: true });
const fits = JSON.parse(readFileSync(fitPath, 'utf8')).fits;
const PAPER = { relu: 'logspace-power', silu: 'convergent-power' };
/** The paper has no law for other activations, so both of its laws stand for them, and no criterion judges. */
const lawsOf = (activation) => (PAPER[activation] ? [PAPER[activation]] : Object.values(PAPER));
const BASELINES = ['constant', 'linear', 'log'];

const percent = (value, digits = 2) => (100 * value).toFixed(digits);
const line = (...cells) => console.log(`| ${cells.join(' | ')} |`);
const head = (...cells) => {
  console.log();
  line(...cells);
  line(...cells.map(() => '---'));
};

/** The series of the laws: PPL-1 % after the warm-up, by run and protocol, in order of tokens. */
function series() {
  const groups = new Map();
  for (const row of rows) {
    if (!isPoint(row)) continue;
    const key = `${row.run_id} ${row.shared_cett}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  for (const own of groups.values()) own.sort((a, b) => a.tokens - b.tokens);
  return [...groups.values()].sort(
    (a, b) => a[0].params_total - b[0].params_total || a[0].activation.localeCompare(b[0].activation),
  );
}

const all = series();
const shape = (row) => `${row.d_model}×${row.n_layer}`;
const size = (row) => `${(row.params_non_embedding / 1e6).toFixed(1)}M`;
/** Shapes of about one size are told apart by width × layers. */
const hasShapes = rows.some((a) => shape(a) !== shape(rows[0]) && Math.abs(a.params_non_embedding / rows[0].params_non_embedding - 1) < 0.1);
const name = (own) =>
  `${own[0].activation} ${size(own[0])}${hasShapes ? `, ${shape(own[0])}` : ''}, seed ${own[0].seed}`;
const protocol = (own) => (own[0].shared_cett ? 'shared' : 'own');
const length = (own) =>
  Number(trainedTokens ?? Math.max(...rows.filter((r) => r.run_id === own[0].run_id).map((r) => Number(r.tokens))));

console.log('## 1. Direction: slope in ln D over the late half, points of activation ratio (%) per e-fold');
head('run', 'CETT bound', 'points', 'slope', '95 % interval', 'says');
for (const own of all) {
  const late = own.filter((row) => Number(row.tokens) >= length(own) / 2);
  if (late.length < 4) {
    line(name(own), protocol(own), late.length, '–', '–', 'too few points');
    continue;
  }
  const { slope, interval } = slopeOf(
    late.map((row) => Math.log(row.tokens)),
    late.map((row) => Number(row.activation_ratio)),
  );
  const says = interval[1] < 0 ? 'falls' : interval[0] > 0 ? 'rises' : 'not told';
  line(name(own), protocol(own), late.length, percent(slope), interval.map((v) => percent(v)).join(' to '), says);
}

console.log('\n## 2. Form: RMSE of the forecast of the last 30 % of the points (% of activation)');
head('run', 'CETT bound', 'points', "paper's law", 'RMSE', 'best baseline', 'RMSE', 'ratio', 'difference / s.e.', 'says');
for (const own of all) {
  const laws = lawsOf(own[0].activation);
  const trained = Math.round(own.length * 0.7);
  const [cut, rest] = [own.slice(0, trained), own.slice(trained)];
  const errors = Object.fromEntries([...laws, ...BASELINES].map((id) => [id, squaredErrors(id, cut, rest)]));
  const rmse = (id) => Math.sqrt(mean(errors[id]));
  const best = BASELINES.reduce((a, b) => (rmse(b) < rmse(a) ? b : a));
  const isWhole = Number(own.at(-1).tokens) === length(own) || trainedTokens === undefined;
  for (const law of laws) {
    const differences = errors[law].map((value, i) => value - errors[best][i]);
    const m = mean(differences);
    const deviation = Math.sqrt(mean(differences.map((v) => (v - m) ** 2)) / (differences.length - 1));
    const ratio = rmse(law) / rmse(best);
    const isFitted = Number.isFinite(ratio);
    const judged = !isFitted ? 'not told: no fit' : ratio <= 1.1 ? 'agrees' : m / deviation > 2 ? 'disagrees' : 'not told';
    const says = !PAPER[own[0].activation] ? (isFitted ? 'no criterion' : 'no fit') : isWhole ? judged : 'not told: incomplete';
    const score = (id) => (Number.isFinite(rmse(id)) ? percent(rmse(id), 3) : '–');
    const odds = isFitted ? [ratio.toFixed(2), (m / deviation).toFixed(1)] : ['–', '–'];
    line(name(own), protocol(own), own.length, law, score(law), best, score(best), ...odds, says);
  }
}

/** Squared errors on `rest` of a law that the program fitted to `cut`; infinite where the fit does not converge. */
function squaredErrors(id, cut, rest) {
  const folder = mkdtempSync(join(tmpdir(), 'verdicts-'));
  const csv = join(folder, 'cut.csv');
  writeFileSync(csv, `tokens,activation_ratio\n${cut.map((r) => `${r.tokens},${r.activation_ratio}`).join('\n')}\n`);
  const command = [program, 'fit', csv, '--law', id, '--json', '--quiet'];
  const { status, stdout } = spawnSync(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] });
  const answer = JSON.parse(stdout);
  if (answer.error?.code === 'no-fit') return rest.map(() => Infinity);
  if (status !== 0) throw new Error(answer.error?.message ?? `fit ended with status ${status}`);
  const [fit] = answer.fits;
  const shape = findLaw(id);
  const p = Float64Array.from(shape.parameters, (parameter) => fit.parameters[parameter.name].estimate);
  return rest.map((row) => (shape.value(row.tokens / 1e9, p) - row.activation_ratio) ** 2);
}

console.log("\n## 3. Limits of the paper's laws (%)");
head('run', 'CETT bound', 'law', 'limit', '95 % interval', 'verdict of the fit', 'says');
for (const own of all) {
  for (const law of lawsOf(own[0].activation)) {
    const fit = fits.find(
      (f) => f.group.run_id === own[0].run_id && (f.group.shared_cett ?? '') === own[0].shared_cett && f.law === law,
    );
    if (!fit?.limit) continue;
    const { estimate, interval } = fit.limit;
    const isTold = fit.verdict === 'ok' && interval && interval.every((v) => v !== null && Math.abs(v / estimate - 1) <= 0.15);
    line(name(own), protocol(own), fit.law, percent(estimate), interval?.map((v) => (v === null ? '–' : percent(v))).join(' to ') ?? '–',
      fit.verdict, isTold ? 'told' : 'not told');
  }
}

console.log('\n## 4, 7. Losses (nats a token) and epochs at the last checkpoint');
head('run', 'tokens', 'epochs', 'training', 'validation', 'gap', 'activation ratio (%), own / shared');
for (const own of all) {
  if (own[0].shared_cett) continue;
  const last = own.at(-1);
  const shared = all.find((o) => o[0].run_id === own[0].run_id && o[0].shared_cett)?.at(-1);
  const [train, valid] = [Number(last.train_loss_nats_per_token), Number(last.validation_loss_nats_per_token)];
  const same = shared && shared.tokens === last.tokens ? percent(shared.activation_ratio) : '–';
  line(name(own), `${(last.tokens / 1e6).toFixed(0)}M`, Number(last.epochs).toFixed(2), train.toFixed(4), valid.toFixed(4),
    (valid - train).toFixed(4), `${percent(last.activation_ratio)} / ${same}`);
}

if (hasShapes) {
  console.log('\n## Shapes at their last tokens: loss (nats a token), neurons used and neurons not exactly 0 (%)');
  head('shape', 'width / depth', 'parameters', 'tokens', 'validation loss', 'own bound', 'shared bound', 'not 0');
  const lastOf = (run, metric) => rows.filter((r) => r.run_id === run && r.metric === metric && !r.shared_cett && r.tokens_evaluated === EVALUATED)
    .sort((a, b) => a.tokens - b.tokens).at(-1);
  for (const own of all.filter(([r]) => !r.shared_cett).sort(([a], [b]) => a.width_depth_ratio - b.width_depth_ratio)) {
    const last = own.at(-1);
    const shared = rows.find((r) => r.run_id === last.run_id && r.shared_cett && r.checkpoint === last.checkpoint);
    const zero = lastOf(last.run_id, 'zero');
    line(`${shape(last)}, ff ${last.d_ff}`, Number(last.width_depth_ratio).toFixed(1), `${(last.params_non_embedding / 1e6).toFixed(2)}M`,
      `${(last.tokens / 1e6).toFixed(0)}M`, Number(last.validation_loss_nats_per_token).toFixed(4),
      `${percent(last.activation_ratio)} ± ${percent(2 * last.activation_ratio_se)}`,
      shared ? `${percent(shared.activation_ratio)} ± ${percent(2 * shared.activation_ratio_se)}` : '–',
      zero && zero.checkpoint === last.checkpoint ? percent(zero.activation_ratio) : '–');
  }
}

const LABEL = { pplp: 'CETT', cett: 'CETT', topk: 'top-k by', fat: 'FAT', global: 'global threshold' };
const paretos = new Map();
for (const row of rows) {
  if (!LABEL[row.metric] || row.shared_cett || row.tokens_evaluated !== EVALUATED) continue;
  if (!rows.some((r) => r.run_id === row.run_id && r.metric === 'topk' && r.checkpoint === row.checkpoint)) continue;
  const label = `${LABEL[row.metric]}${row.score ? ` ${row.score}` : ''}`;
  const key = `${row.run_id}|${label}`;
  paretos.set(key, [...(paretos.get(key) ?? []), row]);
}
if (paretos.size > 0) {
  console.log('\n## 6. Activation ratio (%, ± 2 s.e.) at equal perplexity, last checkpoints');
  head('run', 'metric', 'points', 'ratio 1.01', 'ratio 1.1');
}
for (const [key, own] of [...paretos].sort()) {
  const run = { ...own[0] };
  line(name([run]), key.split('|')[1], own.length, ...[1.01, 1.1].map((ratio) => atRatio(own, ratio)));
}
for (const row of rows) {
  if (row.metric !== 'zero' || row.tokens_evaluated !== EVALUATED) continue;
  if (![...paretos.values()].some(([r]) => r.run_id === row.run_id && r.checkpoint === row.checkpoint)) continue;
  line(name([row]), 'exact zeros', 1, `${percent(row.activation_ratio)} (ratio 1)`, '');
}

/** Between the two neighbours in ln ratio, a straight line in ln ln ratio. */
function atRatio(own, ratio) {
  const points = own
    .map((row) => ({ y: Math.log(row.ppl_ratio), a: Number(row.activation_ratio), se: Number(row.activation_ratio_se) }))
    .filter(({ y }) => y > 0)
    .sort((a, b) => a.a - b.a);
  const want = Math.log(ratio);
  for (let i = points.length - 1; i > 0; i--) {
    const [left, right] = [points[i - 1], points[i]];
    if (right.y > want || left.y <= want) continue;
    const share = (Math.log(want) - Math.log(right.y)) / (Math.log(left.y) - Math.log(right.y));
    const a = right.a + share * (left.a - right.a);
    return `${percent(a)} ± ${percent(2 * Math.max(left.se, right.se))}`;
  }
  return 'outside';
}
