// What one training step asks of TensorFlow, by op: how many ops, small uploads and reads, each of which costs the host
// 10 to 50 µs whatever its size. Widths do not matter to the counts, so a size is counted with narrow layers:
//   node scripts/bench/op-count.mjs [--layers 4] [--act relu] [--seq-len 512]
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { resolveConfig, shapeOf } from '../../dist/src/config.js';
import { openEngine } from '../../dist/src/engine/index.js';
import { initialParameters, usualDeviations } from '../../dist/src/model/parameters.js';
import { createTrainer } from '../../dist/src/training/loop.js';

const { values: flags } = parseArgs({
  options: {
    layers: { type: 'string', default: '4' },
    act: { type: 'string', default: 'relu' },
    'seq-len': { type: 'string', default: '512' },
  },
});
const size = { layers: Number(flags.layers), width: 32, ff: 64, heads: 2, seqLen: Number(flags['seq-len']) };
const [rows, vocabSize] = [2, 64];
const batchTokens = rows * size.seqLen;
const config = resolveConfig({
  flags: {
    ...{ data: 'corpus', activation: flags.act, vocabSize, ...size, batchTokens },
    ...{ tokens: 100 * batchTokens, weightDecay: 0.1, clip: 1, learningRate: 1e-3 },
  },
  corpusVocabSize: vocabSize,
});
const shape = shapeOf(config);
const engine = await openEngine('tensorflow', { device: 'cpu' });
const backend = createRequire(import.meta.url)('@tensorflow/tfjs-core')
  .engine()
  .findBackend('tensorflow');
const { binding } = backend;
const parameters = initialParameters(shape, usualDeviations(shape), 1);
const zeros = () =>
  Object.fromEntries(Object.entries(parameters).map(([key, { length }]) => [key, new Float32Array(length)]));
const trainer = createTrainer({
  ...{ engine, config, step: 0, steps: 100, onReport() {} },
  data: {
    batch: (index) =>
      Int32Array.from({ length: rows * (size.seqLen + 1) }, (_, i) => (i * 31 + index * 17) % vocabSize),
    validation: { seqLen: size.seqLen, count: 0 },
  },
  state: { parameters, firstMoment: zeros(), secondMoment: zeros() },
});
for (let i = 0; i < 3; i++) await trainer.advance();
await trainer.drain();

const counts = new Map();
const count = (name) => counts.set(name, (counts.get(name) ?? 0) + 1);
const counted = Object.create(binding);
for (const [method, nameOf] of [
  ['executeOp', (name) => name],
  ['createTensor', () => '(upload)'],
  ['tensorDataSync', () => '(read)'],
]) {
  const value = (...args) => {
    count(nameOf(...args));
    return binding[method](...args);
  };
  Object.defineProperty(counted, method, { value });
}
backend.binding = counted;
await trainer.advance();
await trainer.drain();
backend.binding = binding;
const isOp = ([name]) => !name.startsWith('(');
const ops = [...counts].filter(isOp).reduce((sum, [, n]) => sum + n, 0);
console.log(
  JSON.stringify({
    layers: size.layers,
    seqLen: size.seqLen,
    activation: flags.act,
    ops,
    ...Object.fromEntries([...counts].sort(([, a], [, b]) => b - a)),
  }),
);
trainer.dispose();
await engine.close();
