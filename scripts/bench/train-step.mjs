// A training step on the XLA engine: node scripts/bench/train-step.mjs small|base [rounds] [DIR]
// (after `npm run build` and `sparselaw engine install xla-cpu`); prints one JSON line. Writes the program's text into DIR.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveConfig, shapeOf } from '../../dist/src/config.js';
import { restartWithHugePages } from '../../dist/src/engine/huge-pages.js';
import { openEngine } from '../../dist/src/engine/index.js';
import { disposeTree } from '../../dist/src/engine/tree.js';
import { median } from '../../dist/src/median.js';
import { initialParameters, parameterShapes, usualDeviations } from '../../dist/src/model/parameters.js';
import { biasCorrections } from '../../dist/src/training/adamw.js';
import { compileStep } from '../../dist/src/training/step.js';

// As the commands do.
await restartWithHugePages();

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
const initial = initialParameters(shape, usualDeviations(shape), 1);
/** Batches as a data loader would have them ready. */
const batches = Array.from({ length: 4 }, (_, batch) =>
  Int32Array.from({ length: rows * (size.seqLen + 1) }, (_, i) => (i * 31 + batch * 17) % vocabSize),
);

/** A trainer of its own: a fresh engine, program and state. */
async function start() {
  const engine = await openEngine('xla', { device: 'cpu', dumpProgramDir: process.argv[4] });
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
  const uploadInput = () => {
    count += 1;
    const { firstCorrection, secondCorrection } = biasCorrections(count, config);
    return {
      tokens: engine.upload({
        dtype: 'int32',
        shape: [1, rows, size.seqLen + 1],
        values: batches[count % batches.length],
      }),
      scalars: engine.upload({
        dtype: 'float32',
        shape: [3],
        values: Float32Array.of(1e-3, firstCorrection, secondCorrection),
      }),
    };
  };
  let input = uploadInput();
  return {
    /** As training does: what the next step takes is uploaded while this one runs. */
    async step() {
      const result = await program.run(state, input);
      const queuedAt = performance.now();
      state = result.state;
      disposeTree(input);
      input = uploadInput();
      return { metrics: result.metrics, queuedAt };
    },
    async close() {
      disposeTree([state, input]);
      program.dispose();
      const left = engine.memory().liveTensors;
      await engine.close();
      return left;
    },
  };
}

// First step: recorded and compiled, in an empty cache; then once more, where the cache has it.
process.env.SPARSELAW_PJRT_PLUGIN ??= (
  await (await import('../../dist/src/engine/install/index.js')).findPlugin('cpu')
).path;
process.env.SPARSELAW_CACHE_DIR = mkdtempSync(join(tmpdir(), 'bench-cache-'));
const firsts = [];
let trainer;
for (let i = 0; i < 2; i++) {
  if (trainer) await trainer.close();
  trainer = await start();
  const started = performance.now();
  const { metrics, queuedAt } = await trainer.step();
  const queued = (queuedAt - started) / 1000;
  firsts.push({ queued, loss: (await metrics.data())[0] });
  metrics.dispose();
}
rmSync(process.env.SPARSELAW_CACHE_DIR, { recursive: true });

// Host time: from the call until the step is queued, the device being idle and the step's input uploaded before.
const host = [];
for (let i = 0; i < 100; i++) {
  const started = performance.now();
  const { metrics, queuedAt } = await trainer.step();
  host.push(queuedAt - started);
  await metrics.data();
  metrics.dispose();
}
/** Processor time of this thread so far in milliseconds (Linux): waiting for a core does not count. */
const threadTime = () =>
  Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;

const threadStarted = threadTime();
const ms = [];
for (let round = 0; round < rounds; round++) {
  const started = performance.now();
  for (let i = 0; i < steps; i++) {
    const { metrics } = await trainer.step();
    if (i === steps - 1) await metrics.data();
    metrics.dispose();
  }
  ms.push((performance.now() - started) / steps);
}
const threadMilliseconds = (threadTime() - threadStarted) / (rounds * steps);
console.log(
  JSON.stringify({
    what: 'sparselaw, engine xla',
    firstLoss: firsts[0].loss,
    ms,
    tokens: batchTokens,
    compileSeconds: firsts[0].queued,
    cachedSeconds: firsts[1].queued,
    hostMilliseconds: median(host),
    threadMilliseconds,
    buffersLeft: await trainer.close(),
  }),
);
