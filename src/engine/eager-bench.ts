import { add, matMul, reshape, slice, type Tensor } from '@tensorflow/tfjs-core';
import { median } from '../median.js';
import { benchmarkStep, type StepBenchmark } from './bench-step.js';
import type { Engine, EngineName, EngineOptions } from './engine.js';
import { openEngine } from './index.js';

/** What an engine that runs op by op reaches on this machine, without any model. */
export interface EagerBenchmark {
  readonly name: EngineName;
  readonly device: string;
  readonly precision: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Engine found, tried and loaded, in seconds. */
  readonly openSeconds: number;
  /** Matrix product, 10⁹ floating-point operations a second, median of the rounds. */
  readonly matmulGflops: number;
  /** Host time of one op on 16 floats, in microseconds, median of the rounds. */
  readonly opMicroseconds: number;
  /** A training step of a small network. */
  readonly step: StepBenchmark;
}

const ROUNDS = 5;
/** Side of the square matrices: large enough that the product, not the call, takes the time. */
const MATRIX = { cpu: 1024, cuda: 4096 };
const MOST_OPS = 2000;
/** Each round takes about this long, whatever the device. */
const ROUND_SECONDS = 0.1;

/** Seconds of one application of `op`, applied one after the other; the last result is waited for. */
async function secondsOf(
  engine: Engine,
  size: number[],
  op: (x: Tensor, y: Tensor) => Tensor,
): Promise<number> {
  const count = size.reduce((product, n) => product * n, 1);
  // Small enough that products of products stay finite.
  const values = Float32Array.from({ length: count }, (_, i) => ((i % 7) - 3) / count);
  const x = engine.upload({ dtype: 'float32', shape: size, values });
  const once = async (times: number): Promise<number> => {
    const chain = engine.compile(
      (_: Tensor[], first: Tensor) => {
        let y = first;
        for (let i = 0; i < times; i++) y = op(y, first);
        // One number: reading the whole would take longer than computing it.
        return slice(reshape(y, [-1]), [0], [1]);
      },
      { name: 'chain' },
    );
    const started = performance.now();
    const result = await chain.run([], x);
    await result.data();
    const seconds = (performance.now() - started) / 1000 / times;
    result.dispose();
    chain.dispose();
    return seconds;
  };
  await once(2);
  const times = Math.max(2, Math.min(MOST_OPS, Math.round(ROUND_SECONDS / (await once(2)))));
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push(await once(times));
  x.dispose();
  return median(rounds);
}

/** Measures an engine that runs op by op: takes a few seconds. @throws SparselawError (status 4) */
export async function benchmarkEager(
  name: Exclude<EngineName, 'xla'>,
  options: EngineOptions,
): Promise<EagerBenchmark> {
  const opened = performance.now();
  const engine = await openEngine(name, options);
  const openSeconds = (performance.now() - opened) / 1000;
  try {
    const side = MATRIX[engine.device];
    const product = await secondsOf(engine, [side, side], (x, y) => matMul(x, y));
    return {
      name,
      device: engine.deviceDescription,
      precision: engine.precision,
      versions: engine.versions,
      openSeconds,
      matmulGflops: (2 * side ** 3) / product / 1e9,
      opMicroseconds: (await secondsOf(engine, [16], add)) * 1e6,
      step: await benchmarkStep(engine),
    };
  } finally {
    await engine.close();
  }
}
