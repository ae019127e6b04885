// Training steps of the sizes A, B and C (those of the PyTorch peers, torch_peer.py and torch_ddp.py), each device
// with a batch of that size, or shapes such as 240x6x600 (models.mjs):
//   node scripts/bench/gpu-step.mjs [--models A,B,C] [--precision bfloat16] [--device cuda] [--blocks 5] [--steps 20]
//     [--act relu] [--deterministic] [--plain-attention] [--reuse-input]
//     [--kernels none|norms,losses,…] [--cuts JSON] [--dump DIR] [--losses N]
//     [--warmup STEPS] [--mup] [--repeat-draws] [--in-turns] [xla option=value …]
//     [--devices N] [--shard-state] [--same-batch]: that of one device, shared
// Prints one JSON object a model: milliseconds a step and tokens/s (median of the blocks), compile time, memory, and
// the host's part: how long a step keeps this thread busy (within the blocks), and how long it takes until one is
// queued on an idle device. New tokens and scalars are uploaded every step. `--repeat-draws`: weights are one draw of
// 2²⁰ numbers again and again (C's own 111.7M take the host 9 s). `--in-turns`: as turns.mjs asks for blocks (one model).
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { resolveConfig, shapeOf } from '../../dist/src/config.js';
import { findPlugin } from '../../dist/src/engine/install/index.js';
import { disposeTree } from '../../dist/src/engine/tree.js';
import { openXlaWith } from '../../dist/src/engine/xla/index.js';
import { kernelsOf } from '../../dist/src/engine/xla/kernel-choice.js';
import { median } from '../../dist/src/median.js';
import { initialParameters, parameterShapes, usualDeviations } from '../../dist/src/model/parameters.js';
import { flopsPerToken } from '../../dist/src/model/shape.js';
import { randomStream } from '../../dist/src/random.js';
import { biasCorrections } from '../../dist/src/training/adamw.js';
import { shardOf } from '../../dist/src/training/devices.js';
import { compileStep } from '../../dist/src/training/step.js';
import { MUP, modelNamed } from './models.mjs';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    models: { type: 'string', default: 'A,B,C' },
    precision: { type: 'string', default: 'bfloat16' },
    device: { type: 'string', default: 'cuda' },
    act: { type: 'string', default: 'relu' },
    blocks: { type: 'string', default: '5' },
    steps: { type: 'string', default: '20' },
    losses: { type: 'string', default: '5' },
    warmup: { type: 'string', default: '0' },
    dump: { type: 'string' },
    deterministic: { type: 'boolean', default: false },
    devices: { type: 'string', default: '1' },
    'shard-state': { type: 'boolean', default: false },
    'same-batch': { type: 'boolean', default: false },
    'plain-attention': { type: 'boolean', default: false },
    kernels: { type: 'string' },
    cuts: { type: 'string', default: '{}' },
    mup: { type: 'boolean', default: false },
    'reuse-input': { type: 'boolean', default: false },
    'repeat-draws': { type: 'boolean', default: false },
    'in-turns': { type: 'boolean', default: false },
  },
});

/** `true`, `4`, `0.5` and texts, as XLA's options have them. */
function optionValue(text) {
  if (text === 'true' || text === 'false') return text === 'true';
  return text !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}
const kinds = flags.kernels === 'none' ? [] : flags.kernels?.split(',');
const xlaOptions = Object.fromEntries(
  positionals.map((each) => {
    const [name, value = ''] = each.split('=');
    return [name, optionValue(value)];
  }),
);
const DRAWN = 2 ** 20;

/** Weights of the usual size, quickly: the numbers repeat. */
function repeatedParameters(shape) {
  const drawn = randomStream(1, 'repeated')
    .normal(DRAWN)
    .map((value) => 0.02 * value);
  return Object.fromEntries(
    Object.entries(parameterShapes(shape)).map(([name, dims]) => {
      const values = new Float32Array(dims.reduce((product, n) => product * n, 1));
      if (dims.length === 1) return [name, values.fill(1)];
      for (let from = 0; from < values.length; from += DRAWN)
        values.set(drawn.subarray(0, values.length - from), from);
      return [name, values];
    }),
  );
}

/** Numbers of the blocks to be run: so many as were asked for, or one for each line that is sent. */
async function* turns() {
  if (!flags['in-turns']) {
    for (let block = 0; block < Number(flags.blocks); block++) yield block;
    return;
  }
  console.log(JSON.stringify({ ready: true }));
  let block = 0;
  for await (const _ of createInterface({ input: process.stdin })) {
    yield block;
    block += 1;
  }
}

async function measure(engine, model) {
  const { rows: rowsOfOne, vocabSize, ...size } = modelNamed(model);
  const rows = rowsOfOne * (flags['same-batch'] ? 1 : engine.devices);
  const batchTokens = rows * size.seqLen;
  const config = resolveConfig({
    flags: {
      ...{ data: 'corpus', activation: flags.act, vocabSize, ...size, batchTokens },
      ...{ tokens: 1000 * batchTokens, weightDecay: 0.1, clip: 1, shardState: flags['shard-state'] },
      ...(flags.mup ? MUP : {}),
    },
    corpusVocabSize: vocabSize,
  });
  const shape = shapeOf(config);
  const initial = flags['repeat-draws']
    ? repeatedParameters(shape)
    : initialParameters(shape, usualDeviations(shape), 1);
  const shard = shardOf(engine, config);
  const upload = (fill) =>
    Object.fromEntries(
      Object.entries(parameterShapes(shape)).map(([name, dims]) => {
        const values = fill === undefined ? initial[name] : new Float32Array(initial[name].length).fill(fill);
        const split = fill === undefined ? undefined : shard?.(name);
        return [name, engine.upload({ dtype: 'float32', shape: dims, values, split })];
      }),
    );
  let state = { parameters: upload(), firstMoment: upload(0), secondMoment: upload(0) };
  const program = compileStep(engine, config);
  let count = 0;
  const hosts = [];
  // A text with something to learn: mostly a fixed successor, sometimes a jump; the same for every engine.
  let seed = 1;
  const random = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const batches = Array.from({ length: 4 }, () => {
    let id = 0;
    return Int32Array.from({ length: rows * (size.seqLen + 1) }, () => {
      id = random() < 0.7 ? (id * 5 + 7) % vocabSize : Math.floor(random() * vocabSize);
      return id;
    });
  });

  /** With --reuse-input: one batch for all steps, which then lies at one address. */
  let kept;
  const uploadTokens = () =>
    engine.upload({
      dtype: 'int32',
      shape: [1, rows, size.seqLen + 1],
      values: batches[count % batches.length],
      split: 1,
    });

  async function step() {
    count += 1;
    const tokens = kept ?? uploadTokens();
    if (flags['reuse-input']) kept = tokens;
    const { firstCorrection, secondCorrection } = biasCorrections(count, config);
    const rate = 3e-4 * Math.min(1, count / Math.max(1, Number(flags.warmup)));
    const values = Float32Array.of(rate, firstCorrection, secondCorrection);
    const scalars = engine.upload({ dtype: 'float32', shape: [3], values });
    const result = await program.run(state, { tokens, scalars });
    state = result.state;
    disposeTree(kept ? [scalars] : [tokens, scalars]);
    return result.metrics;
  }

  let started = performance.now();
  const losses = [];
  let compileSeconds = 0;
  for (let i = 0; i < Number(flags.losses); i++) {
    const metrics = await step();
    losses.push((await metrics.data())[0]);
    metrics.dispose();
    if (i === 0) compileSeconds = (performance.now() - started) / 1000;
  }
  const steps = Number(flags.steps);
  const blocks = [];
  const onMainThread = [];
  const megabytes = [];
  let metrics = await step();
  if (flags['in-turns']) await metrics.data();
  for await (const _ of turns()) {
    started = performance.now();
    const idleBefore = performance.eventLoopUtilization();
    for (let i = 0; i < steps; i++) {
      metrics.dispose();
      metrics = await step();
    }
    await metrics.data();
    blocks.push((performance.now() - started) / steps);
    onMainThread.push(performance.eventLoopUtilization(idleBefore).active / steps);
    megabytes.push(Math.round((engine.memory().bytesInUse ?? 0) / 2 ** 20));
    if (flags['in-turns']) console.log(JSON.stringify({ block: blocks.at(-1) }));
  }
  // Host time alone: the device is idle, so nothing in a step waits for it.
  for (let i = 0; i < (blocks.length ? 10 : 0); i++) {
    const from = performance.now();
    metrics.dispose();
    metrics = await step();
    hosts.push(performance.now() - from);
    await metrics.data();
  }
  const milliseconds = Number(median(blocks));
  const flops = flopsPerToken(shape, size.seqLen);
  const memory = engine.memory();
  console.log(
    JSON.stringify({
      model,
      precision: flags.precision,
      options: xlaOptions,
      ...(flags.kernels && { kernels: flags.kernels }),
      ...(flags.cuts !== '{}' && { cuts: JSON.parse(flags.cuts) }),
      device: engine.deviceDescription,
      devices: engine.devices,
      shardState: flags['shard-state'],
      milliseconds: +milliseconds.toFixed(3),
      tokensPerSecond: Math.round((batchTokens / milliseconds) * 1000),
      blocks: blocks.map((each) => +each.toFixed(3)),
      matmulTeraflops: +((flops.matrices * batchTokens) / milliseconds / 1e9).toFixed(1),
      mainThreadMilliseconds: +Number(median(onMainThread)).toFixed(3),
      queueMilliseconds: +Number(median(hosts)).toFixed(3),
      traceAndCompileSeconds: +compileSeconds.toFixed(2),
      mebibytesAfterBlocks: megabytes,
      gibibytesInUse: memory.bytesInUse && +(memory.bytesInUse / 2 ** 30).toFixed(2),
      gibibytesPeak: memory.peakBytes && +(memory.peakBytes / 2 ** 30).toFixed(2),
      losses: losses.map((each) => +each.toFixed(6)),
      lastLoss: +(await metrics.data())[0].toFixed(5),
    }),
  );
  metrics.dispose();
  kept?.dispose();
  disposeTree(state);
  program.dispose();
}

const plugin = await findPlugin(flags.device);
for (const model of flags.models.split(',')) {
  // A client of its own for each model, so that peak memory is that model's.
  const engine = await openXlaWith(plugin, {
    device: flags.device,
    devices: Number(flags.devices),
    precision: flags.precision,
    deterministic: flags.deterministic,
    xlaOptions,
    ...(kinds && { kernels: kinds.length > 0 && kernelsOf(kinds, JSON.parse(flags.cuts)) }),
    ...(flags['plain-attention'] ? { fusions: false } : {}),
    ...(flags.dump ? { dumpProgramDir: join(flags.dump, model) } : {}),
  });
  await measure(engine, model).catch((error) => console.log(`${model}: ${error.message.slice(0, 2000)}`));
  await engine.close();
}
