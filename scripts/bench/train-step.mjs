// Milliseconds a training step on the XLA engine: node scripts/bench/train-step.mjs [small|base] [rounds]
// (after `npm run build` and `sparselaw engine install xla-cpu`).
import { availableParallelism, loadavg } from 'node:os';
import { resolveConfig, shapeOf } from '../../dist/src/config.js';
import { openEngine } from '../../dist/src/engine/index.js';
import { disposeTree } from '../../dist/src/engine/tree.js';
import { initialParameters, parameterShapes, usualDeviations } from '../../dist/src/model/parameters.js';
import { biasCorrections } from '../../dist/src/training/adamw.js';
import { compileStep } from '../../dist/src/training/step.js';

const SIZES = {
  small: { layers: 2, width: 64, ff: 172, heads: 4, vocabSize: 512, seqLen: 64, rows: 16, steps: 40 },
  base: { layers: 4, width: 128, ff: 344, heads: 4, vocabSize: 1024, seqLen: 128, rows: 16, steps: 10 },
};
const { rows, steps, vocabSize, ...size } = SIZES[process.argv[2] ?? 'small'];
const rounds = Number(process.argv[3] ?? 5);
const batchTokens = rows * size.seqLen;
const config = resolveConfig({
  flags: { data: 'corpus', activation: 'silu', vocabSize, ...size, batchTokens, tokens: 1000 * batchTokens },
  corpusVocabSize: vocabSize,
});
const shape = shapeOf(config);
const engine = await openEngine('xla');
const initial = initialParameters(shape, usualDeviations(shape), 1);
const upload = (fill) =>
  Object.fromEntries(
    Object.entries(parameterShapes(shape)).map(([name, dims]) => [
      name,
      engine.upload({
        dtype: 'float32',
        shape: dims,
        values: fill === undefined ? initial[name] : initial[name].map(() => fill),
      }),
    ]),
  );
let state = { parameters: upload(), firstMoment: upload(0), secondMoment: upload(0) };
const program = compileStep(engine, config);
let count = 0;

async function step() {
  count += 1;
  const values = Int32Array.from(
    { length: rows * (size.seqLen + 1) },
    (_, i) => (i * 31 + count * 17) % vocabSize,
  );
  const tokens = engine.upload({ dtype: 'int32', shape: [1, rows, size.seqLen + 1], values });
  const { firstCorrection, secondCorrection } = biasCorrections(count, config);
  const scalars = engine.upload({
    dtype: 'float32',
    shape: [3],
    values: Float32Array.of(1e-3, firstCorrection, secondCorrection),
  });
  const result = await program.run(state, { tokens, scalars });
  state = result.state;
  disposeTree([tokens, scalars]);
  return result.metrics;
}

let started = performance.now();
let metrics = await step();
console.log(
  `loss ${(await metrics.data())[0]}; trace and compile ${((performance.now() - started) / 1000).toFixed(2)} s`,
);
metrics.dispose();
for (let i = 0; i < 3; i++) (await step()).dispose();
const times = [];
for (let round = 0; round < rounds; round++) {
  started = performance.now();
  for (let i = 0; i < steps; i++) {
    metrics?.dispose();
    metrics = await step();
  }
  await metrics.data();
  times.push((performance.now() - started) / steps);
}
times.sort((a, b) => a - b);
const median = times[Math.floor(rounds / 2)];
console.log(
  `${process.argv[2] ?? 'small'}: median ${median.toFixed(2)} ms a step (${times.map((t) => t.toFixed(2)).join(' ')}), ` +
    `${Math.round((batchTokens / median) * 1000)} tokens/s; ${availableParallelism()} cores, load ${loadavg()[0].toFixed(1)}`,
);
disposeTree(state);
metrics.dispose();
program.dispose();
console.log(`buffers left: ${engine.memory().liveTensors}`);
await engine.close();
