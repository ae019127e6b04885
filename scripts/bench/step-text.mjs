// Milliseconds a step of StableHLO training steps (ours by --dump-program, JAX's by step_jax.py --text) in our runtime
// and plugin: node scripts/bench/step-text.mjs FILE.mlir[,FILE2.mlir…] [rounds] [steps a round]
// Prints one JSON line a file. Rounds of the files alternate, so that what else the machine does meets all alike.
// A program's results are its leading arguments' next values and then one vector whose first value is the loss; its
// last two arguments are the tokens and the scalars.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { restartWithHugePages } from '../../dist/src/engine/huge-pages.js';
import { findPlugin } from '../../dist/src/engine/install/index.js';
import { openPjrt } from '../../dist/src/engine/xla/pjrt/index.js';
import { biasCorrections } from '../../dist/src/training/adamw.js';

// As the commands do.
await restartWithHugePages();

const [files, rounds = 5, steps = 10] = process.argv.slice(2);
const plugin = await findPlugin('cpu');
const client = await openPjrt({
  pluginPath: plugin.path,
  pluginName: plugin.package,
  pluginHash: plugin.sha256,
  device: 'cpu',
});
const cache = mkdtempSync(join(tmpdir(), 'bench-cache-'));
process.env.SPARSELAW_CACHE_DIR = cache;
const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

const specs = (types) =>
  [...types.matchAll(/tensor<([^>]*)>/g)].map(([, type]) => {
    const parts = type.split('x');
    return { elementType: parts.pop(), shape: parts.map(Number) };
  });

async function open(file) {
  const text = readFileSync(file, 'utf8');
  const signature = /func\.func public @main\(([\s\S]*?)\) -> \(([\s\S]*?)\) \{\n/.exec(text);
  const [inputs, outputs] = [specs(signature[1]), specs(signature[2])];
  const count = outputs.length - 1;
  const source = { name: 'step', text, inputs, outputs, donated: Array.from({ length: count }, (_, i) => i) };
  const { compileSeconds } = await client.compile(source);
  // What compiling leaves behind in the cache, loaded: the median of five.
  const loads = [];
  let program;
  for (let i = 0; i < 5; i++) {
    program?.dispose();
    program = await client.compile(source);
    loads.push(program.compileSeconds);
  }
  let seed = 1;
  const random = () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647 - 0.5;
  };
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
    const values = Int32Array.from(
      { length: sizeOf(tokenShape) },
      (_, i) => (i * 31 + done * 17) % vocabulary,
    );
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
  async function round(length) {
    const started = performance.now();
    let loss;
    for (let i = 0; i < length; i++) {
      const metrics = await step();
      if (i === length - 1) [loss] = await metrics.read();
      metrics.dispose();
    }
    return { ms: (performance.now() - started) / length, loss };
  }
  const width = tokenShape.at(-1);
  return {
    round,
    result: {
      what: basename(file),
      firstLoss: (await round(1)).loss,
      ms: [],
      tokens: (sizeOf(tokenShape) / width) * (width - 1),
      compileSeconds,
      cachedSeconds: loads.sort((a, b) => a - b)[2],
    },
  };
}

const programs = [];
for (const file of files.split(',')) programs.push(await open(file));
for (const { round } of programs) await round(5);
for (let i = 0; i < Number(rounds); i++) {
  for (const { round, result } of programs) result.ms.push((await round(Number(steps))).ms);
}
for (const { result } of programs) console.log(JSON.stringify(result));
rmSync(cache, { recursive: true });
await client.close();
