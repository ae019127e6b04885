// Training steps of one size on several engines, one after the other, each in a process of its own:
//   node scripts/bench/engines.mjs --size small --engines xla,tensorflow,wasm [--device cuda] [--precision tf32]
//     [--rounds 5] [--steps 40] [--act relu]
// Prints one JSON object an engine: milliseconds a step (median and range of the rounds), tokens/s, the losses of the
// first 20 steps, and the ratio to the first engine. Sizes A, B and C are those of scripts/bench/gpu-step.mjs.
import { execFileSync } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { resolveConfig, shapeOf } from '../../dist/src/config.js';
import { openEngine } from '../../dist/src/engine/index.js';
import { median } from '../../dist/src/median.js';
import { initialParameters, usualDeviations } from '../../dist/src/model/parameters.js';
import { createTrainer } from '../../dist/src/training/loop.js';

const SIZES = {
  tiny: { layers: 8, width: 16, ff: 32, heads: 4, vocabSize: 64, seqLen: 16, rows: 2 },
  small: { layers: 2, width: 64, ff: 172, heads: 4, vocabSize: 512, seqLen: 64, rows: 16 },
  base: { layers: 4, width: 128, ff: 344, heads: 4, vocabSize: 1024, seqLen: 128, rows: 16 },
  A: { layers: 4, width: 768, ff: 2048, heads: 12, vocabSize: 4096, seqLen: 512, rows: 32 },
  B: { layers: 8, width: 256, ff: 768, heads: 4, vocabSize: 4096, seqLen: 512, rows: 64 },
  C: { layers: 16, width: 768, ff: 1920, heads: 6, vocabSize: 4096, seqLen: 1024, rows: 16 },
};
const COMPARED_LOSSES = 20;

const { values: flags } = parseArgs({
  options: {
    size: { type: 'string', default: 'small' },
    engines: { type: 'string', default: 'xla,tensorflow,wasm' },
    device: { type: 'string' },
    precision: { type: 'string', default: 'float32' },
    rounds: { type: 'string', default: '5' },
    steps: { type: 'string', default: '40' },
    act: { type: 'string', default: 'silu' },
    only: { type: 'string' },
  },
});
const { rows, vocabSize, ...size } = SIZES[flags.size];
const batchTokens = rows * size.seqLen;
const [rounds, steps] = [Number(flags.rounds), Number(flags.steps)];

async function measure(name) {
  const config = resolveConfig({
    flags: {
      ...{ data: 'corpus', activation: flags.act, vocabSize, ...size, batchTokens },
      ...{ tokens: 10_000 * batchTokens, weightDecay: 0.1, clip: 1, learningRate: 1e-3 },
    },
    corpusVocabSize: vocabSize,
  });
  const shape = shapeOf(config);
  const { device, precision } = flags;
  const started = performance.now();
  const engine = await openEngine(name, { precision, ...(device && { device }) });
  const openSeconds = (performance.now() - started) / 1000;
  const parameters = initialParameters(shape, usualDeviations(shape), 1);
  const zeros = () =>
    Object.fromEntries(
      Object.entries(parameters).map(([key, { length }]) => [key, new Float32Array(length)]),
    );
  const losses = [];
  const trainer = createTrainer({
    engine,
    config,
    data: {
      batch: (index) =>
        Int32Array.from(
          { length: rows * (size.seqLen + 1) },
          (_, i) => (i * 31 + index * 17 + ((i * i) % 7)) % vocabSize,
        ),
      validation: { seqLen: size.seqLen, count: 0 },
    },
    state: { parameters, firstMoment: zeros(), secondMoment: zeros() },
    step: 0,
    steps: COMPARED_LOSSES + rounds * steps,
    onReport: ({ loss }) => losses.push(loss),
  });
  for (let i = 0; i < COMPARED_LOSSES; i++) await trainer.advance();
  await trainer.drain();
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    for (let i = 0; i < steps; i++) await trainer.advance();
    await trainer.drain();
    times.push((performance.now() - from) / steps);
  }
  const memory = engine.memory();
  trainer.dispose();
  const left = engine.memory().liveTensors;
  await engine.close();
  times.sort((a, b) => a - b);
  const middle = median(times);
  const round = (value) => Number(value.toPrecision(4));
  return {
    engine: engine.name,
    size: flags.size,
    device: engine.deviceDescription,
    precision: engine.precision,
    openSeconds: round(openSeconds),
    millisecondsAStep: round(middle),
    range: [round(times[0]), round(times.at(-1))],
    tokensPerSecond: Math.round((batchTokens / middle) * 1000),
    liveTensors: memory.liveTensors,
    leftTensors: left,
    residentMegabytes: Math.round(process.memoryUsage().rss / 1e6),
    losses: losses.slice(0, COMPARED_LOSSES),
  };
}

if (flags.only) {
  console.log(JSON.stringify(await measure(flags.only)));
} else {
  console.log(`${availableParallelism()} cores, load ${loadavg()[0].toFixed(1)}, Node ${process.version}`);
  let first;
  for (const name of flags.engines.split(',')) {
    const script = [fileURLToPath(import.meta.url), ...process.argv.slice(2), '--only', name];
    const output = execFileSync(process.execPath, script, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const result = JSON.parse(output.trim().split('\n').at(-1));
    first ??= result;
    const { losses, ...shown } = result;
    const lossDifference = Math.max(...losses.map((loss, i) => Math.abs(loss / first.losses[i] - 1)));
    const ratio = Number((result.tokensPerSecond / first.tokensPerSecond).toPrecision(3));
    console.log(JSON.stringify({ ...shown, ratio, lossDifference, lastLoss: losses.at(-1) }));
  }
}
