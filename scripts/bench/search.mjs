/**
 * Times a PPL-1% search on the model and the ids that search_peer.py or search_peer_dump.py wrote, and a masked
 * against a plain pass.
 *
 *     npm run build && node scripts/bench/search.mjs DIR [engine] [precision] [rounds] [searches]
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mean, reshape, slice } from '@tensorflow/tfjs-core';
import { openEngine } from '../../dist/src/engine/index.js';
import { median } from '../../dist/src/median.js';
import { measureContext } from '../../dist/src/sparsity/context.js';
import { openSession, total, uploadModel } from '../../dist/src/sparsity/evaluate.js';
import { loadModel } from '../../dist/src/sparsity/load.js';
import { METRICS } from '../../dist/src/sparsity/metrics/index.js';
import { outputNormRule } from '../../dist/src/sparsity/rules.js';
import { strideWindows } from '../../dist/src/sparsity/windows.js';

const [folder, name = 'xla', precision, rounds = '3', searchRounds = rounds] = process.argv.slice(2);
const { seqLen, calibrationTokens, batchWindows } = JSON.parse(
  await readFile(join(folder, 'bench.json'), 'utf8'),
);
const bytes = await readFile(join(folder, 'ids.bin'));
const ids = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const width = seqLen + 1;
const windows = { seqLen, count: ids.length / width, ids };
const tokens = windows.count * seqLen;

const { model, facts } = await loadModel({ kind: 'foreign', path: folder, checkpoint: 'bench' });
const engine = await openEngine(name, { precision });
const session = await openSession(engine, model, { batchWindows });
const { layers, ff } = model;
const zeros = new Array(layers).fill(0);

/** Wall and processor seconds of one call. */
async function timed(work) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const value = await work();
  const { user, system } = process.cpuUsage(cpu);
  return { value, wall: (performance.now() - start) / 1000, processor: (user + system) / 1e6 };
}
// The plain forward pass, without a mask or a count.
const { parameters } = await uploadModel(engine, model);
const plain = engine.compile(
  (state, input) => {
    const inputs = slice(input.tokens, [0, 0], [batchWindows, seqLen]);
    const targets = reshape(slice(input.tokens, [0, 1], [batchWindows, seqLen]), [batchWindows * seqLen]);
    const losses = model.losses(state, model.hiddenStates(state, inputs), targets);
    return { loss: mean(reshape(losses, [batchWindows, seqLen]), 1) };
  },
  { name: 'plain' },
);
const batches = Array.from({ length: windows.count / batchWindows }, (_, i) =>
  engine.upload({
    dtype: 'int32',
    shape: [batchWindows, width],
    values: ids.slice(i * batchWindows * width, (i + 1) * batchWindows * width),
  }),
);
async function plainPass() {
  const losses = [];
  for (const batch of batches) losses.push((await plain.run(parameters, { tokens: batch })).loss);
  const values = await Promise.all(losses.map((loss) => loss.data()));
  for (const loss of losses) loss.dispose();
  return values;
}

const calibration = strideWindows(windows, calibrationTokens);
const search = async () => {
  const before = { ...session.spent };
  const own = measureContext(session, {
    windows,
    calibrationWindows: calibration,
    gridWindows: calibration,
    smallestBound: 1 / 256,
    tolerance: 1e-4,
    compat: false,
  });
  const start = performance.now();
  const lap = () => (performance.now() - start) / 1000;
  await own.dense();
  const denseBy = lap();
  // A bound of 1 scans the thresholds of every layer to their end.
  await (await own.calibration()).approximate(1);
  const scanBy = lap();
  await own.grid();
  const gridBy = lap();
  const outcome = await METRICS.pplp.measure(own, { metric: 'pplp', pPercent: 1 });
  const sparse = await own.masked(outcome.rule, outcome.thresholds);
  const active = total(sparse.active.map(total));
  const all = own.trace.filter((point) => point.tokens === 'all');
  const report = {
    cett: outcome.cett,
    status: outcome.status,
    ratio: all.find((point) => point.cett === outcome.cett)?.ratio,
    activationRatio: active / (layers * ff * tokens),
    seconds: { dense: denseBy, scan: scanBy - denseBy, grid: gridBy - scanBy, refinement: lap() - gridBy },
    // In passes over all tokens; `threshold` passes try 4 or 16 thresholds at once.
    passes: {
      all: all.length + 1,
      masked: (session.spent.masked - before.masked) / tokens,
      threshold: (session.spent.dense - before.dense) / tokens,
    },
    trace: own.trace.filter((point) => point.tokens !== 'calibration'),
  };
  return { report, own, outcome };
};

// Compiles and warms up everything, untimed.
const warm = await timed(async () => {
  await plainPass();
  await search();
});
const passes = { plain: [], masked: [] };
const searches = [];
for (let round = 0; round < Number(rounds); round++) {
  passes.plain.push((await timed(plainPass)).wall);
  passes.masked.push((await timed(() => session.masked(outputNormRule, windows, zeros))).wall);
}
for (let round = 0; round < Number(searchRounds); round++) searches.push(await timed(search));
const [plainSeconds, maskedSeconds] = [median(passes.plain), median(passes.masked)];
const found = searches.sort((a, b) => a.wall - b.wall)[searches.length >> 1];
const { report, own, outcome } = found.value;
// Layer by layer, how far a threshold read off the coarse scan is from the one found.
const approximate = await (await own.calibration()).approximate(outcome.cett);
console.log(
  JSON.stringify({
    engine: engine.name,
    precision: engine.precision,
    device: engine.deviceDescription,
    parameters: facts.parametersTotal,
    tokens,
    warmupSeconds: warm.wall,
    plainPassSeconds: plainSeconds,
    maskedPassSeconds: maskedSeconds,
    maskedOverPlain: maskedSeconds / plainSeconds,
    searchSeconds: found.wall,
    allSearchSeconds: searches.map(({ wall }) => wall),
    processorSeconds: found.processor,
    ...report,
    approximateThresholds: approximate.map((value, layer) => value / outcome.thresholds[layer] - 1),
  }),
);
session.dispose();
await engine.close();
