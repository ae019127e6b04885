// Milliseconds a step of any StableHLO training step (JAX's, by step_jax.py --text) in our runtime and plugin:
// node scripts/bench/step-text.mjs FILE.mlir [rounds] [steps a round]; prints one JSON line.
// The program's results are its leading arguments' next values and then one vector whose first value is the loss; its
// last two arguments are the tokens and the scalars.
import { readFileSync } from 'node:fs';
import { findPlugin } from '../../dist/src/engine/install/index.js';
import { openPjrt } from '../../dist/src/engine/xla/pjrt/index.js';
import { biasCorrections } from '../../dist/src/training/adamw.js';

const [file, rounds = 5, steps = 10] = process.argv.slice(2);
const text = readFileSync(file, 'utf8');
const signature = /func\.func public @main\(([\s\S]*?)\) -> \(([\s\S]*?)\) \{\n/.exec(text);
const specs = (types) =>
  [...types.matchAll(/tensor<([^>]*)>/g)].map(([, type]) => {
    const parts = type.split('x');
    return { elementType: parts.pop(), shape: parts.map(Number) };
  });
const [inputs, outputs] = [specs(signature[1]), specs(signature[2])];
const count = outputs.length - 1;
const plugin = await findPlugin('cpu');
const client = await openPjrt({
  pluginPath: plugin.path,
  pluginName: plugin.package,
  pluginHash: plugin.sha256,
  device: 'cpu',
});
const program = await client.compile(
  { name: 'text', text, inputs, outputs, donated: Array.from({ length: count }, (_, i) => i) },
  { cache: false },
);
let seed = 1;
const random = () => {
  seed = (seed * 48271) % 2147483647;
  return seed / 2147483647 - 0.5;
};
const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);
let state = inputs.slice(0, count).map(({ shape }, i) => {
  const values = new Float32Array(sizeOf(shape));
  // Moments start at 0, gains at 1.
  if (i < count / 3) for (const j of values.keys()) values[j] = shape.length === 1 ? 1 : 0.07 * random();
  return client.upload(values, 'f32', shape);
});
const tokenShape = inputs[count].shape;
const vocabulary = Math.max(...inputs.slice(0, count / 3).map(({ shape }) => shape[0]));
let done = 0;

async function step() {
  done += 1;
  const values = Int32Array.from({ length: sizeOf(tokenShape) }, (_, i) => (i * 31 + done * 17) % vocabulary);
  const { firstCorrection, secondCorrection } = biasCorrections(done, { beta1: 0.9, beta2: 0.95 });
  const tokens = client.upload(values, 'i32', tokenShape);
  const scalars = client.upload(Float32Array.of(1e-3, firstCorrection, secondCorrection), 'f32', [3]);
  await client.room();
  const results = program.execute([...state, tokens, scalars]);
  tokens.dispose();
  scalars.dispose();
  state = results.slice(0, count);
  return results[count];
}

const first = await step();
const firstLoss = (await first.read())[0];
first.dispose();
for (let i = 0; i < 5; i++) (await step()).dispose();
const ms = [];
for (let round = 0; round < rounds; round++) {
  const started = performance.now();
  for (let i = 0; i < steps; i++) {
    const metrics = await step();
    if (i === steps - 1) await metrics.ready();
    metrics.dispose();
  }
  ms.push((performance.now() - started) / steps);
}
const tokens = tokenShape[0] * (tokenShape[1] - 1);
console.log(
  JSON.stringify({
    what: 'JAX’s text, our plugin',
    firstLoss,
    ms,
    tokens,
    compileSeconds: program.compileSeconds,
  }),
);
await client.close();
