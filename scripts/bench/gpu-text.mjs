// The texts of training steps as they are made for an NVIDIA GPU, written on a machine without one:
//   node scripts/bench/gpu-text.mjs DIR [--models A,B,C] [--kernels norms,losses,…] [--cuts JSON] [--mup]
//     [--devices N [--shard-state]]
// DIR/A.mlir and so on, to be compiled by gpu_compile.py. The plugin of the processor stands in for the GPU's until
// there is a text; it is not asked to compile it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { resolveConfig, shapeOf } from '../../dist/src/config.js';
import { findPlugin } from '../../dist/src/engine/install/index.js';
import { xlaEngine } from '../../dist/src/engine/xla/index.js';
import { kernelsOf, PROVEN_KINDS } from '../../dist/src/engine/xla/kernel-choice.js';
import { openPlugin } from '../../dist/src/engine/xla/open.js';
import { parameterShapes } from '../../dist/src/model/parameters.js';
import { shardOf } from '../../dist/src/training/devices.js';
import { compileStep } from '../../dist/src/training/step.js';
import { MUP, modelNamed } from './models.mjs';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    models: { type: 'string', default: 'A,B,C' },
    precision: { type: 'string', default: 'bfloat16' },
    act: { type: 'string', default: 'relu' },
    kernels: { type: 'string' },
    cuts: { type: 'string', default: '{}' },
    mup: { type: 'boolean', default: false },
    devices: { type: 'string', default: '1' },
    'shard-state': { type: 'boolean', default: false },
  },
});
const [folder] = positionals;
const devices = Number(flags.devices);
const client = await openPlugin(await findPlugin('cpu'), {}, devices);
/** What the engine asks of a client before it compiles, answered as an H200 would. */
const likeGpu = new Proxy(client, {
  get(target, name) {
    if (name === 'platform') return 'cuda';
    if (name === 'deviceAttributes') return { compute_capability: '9.0' };
    if (name === 'compile')
      return async (source) => Promise.reject(Object.assign(new Error('text'), { source }));
    return Reflect.get(target, name);
  },
});
mkdirSync(folder, { recursive: true });
for (const model of flags.models.split(',')) {
  const { rows: rowsOfOne, vocabSize, ...size } = modelNamed(model);
  const rows = rowsOfOne * devices;
  const batchTokens = rows * size.seqLen;
  const config = resolveConfig({
    flags: {
      ...{ data: 'corpus', activation: flags.act, vocabSize, ...size, batchTokens },
      ...{
        tokens: 1000 * batchTokens,
        weightDecay: 0.1,
        clip: 1,
        shardState: flags['shard-state'],
        ...(flags.mup ? MUP : {}),
      },
    },
    corpusVocabSize: vocabSize,
  });
  const engine = xlaEngine(likeGpu, {
    ...{ device: 'cuda', precision: flags.precision },
    kernels: kernelsOf(flags.kernels?.split(',') ?? PROVEN_KINDS, JSON.parse(flags.cuts)),
  });
  const zeros = (dtype, shape, split) => {
    const length = shape.reduce((product, n) => product * n, 1);
    return engine.upload({
      ...{ dtype, shape, ...(split === undefined || devices === 1 ? {} : { split }) },
      values: new (dtype === 'int32' ? Int32Array : Float32Array)(length),
    });
  };
  const map = (splitOf) =>
    Object.fromEntries(
      Object.entries(parameterShapes(shapeOf(config))).map(([name, dims]) => [
        name,
        zeros('float32', dims, splitOf?.(name)),
      ]),
    );
  const shard = shardOf(engine, config);
  const state = { parameters: map(), firstMoment: map(shard), secondMoment: map(shard) };
  const input = { tokens: zeros('int32', [1, rows, size.seqLen + 1], 1), scalars: zeros('float32', [3]) };
  const failure = await compileStep(engine, config)
    .run(state, input)
    .catch((error) => error);
  if (!failure.source) throw failure;
  writeFileSync(join(folder, `${model}.mlir`), failure.source.text);
  console.log(JSON.stringify({ model, bytes: failure.source.text.length }));
}
await client.close();
