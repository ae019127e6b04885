import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { add, mul, sum, type Tensor } from '@tensorflow/tfjs-core';
import { median } from '../../median.js';
import type { Engine, TensorTree } from '../engine.js';
import { disposeTree } from '../tree.js';

/** What a step costs the host, the arithmetic being next to nothing. Medians, in milliseconds. */
export interface HostBenchmark {
  /** Tensors of the donated state. */
  readonly leaves: number;
  /** From the call on an idle device until the step is queued, its inputs being uploaded. */
  readonly queue: number;
  /** How long a step keeps the event loop's thread busy in a row of steps, a batch uploaded and a value read for each. */
  readonly thread: number;
  /** The same in processor time; undefined where the system does not tell (it does on Linux). */
  readonly processor: number | undefined;
}

/** State tensors (three a parameter) of Llamas with 2, 4, 8 and 16 layers. */
export const LEAF_COUNTS = [60, 114, 222, 438];
/** Elements of each: enough that a CPU client does not run the step within the call. */
const ELEMENTS = 64;
const [ROUNDS, STEPS, WARM_UP] = [5, 100, 300];

type State = { readonly [key: string]: Tensor };
type Input = { readonly tokens: Tensor; readonly scalars: Tensor };

/** A step with the state of a training step and hardly any arithmetic. */
const step = (state: State, { tokens, scalars }: Input) => {
  const by = mul(sum(scalars), sum(tokens));
  return {
    state: Object.fromEntries(Object.entries(state).map(([name, x]) => [name, add(x, by)])) as State,
    metrics: sum(state.leaf0!),
  };
};

/** Processor time of this thread so far in milliseconds: waiting for a core does not count. */
function processorTime(): number | undefined {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return undefined;
  }
}

/** @param leaves tensors of the state */
export async function benchmarkHost(engine: Engine, leaves: number): Promise<HostBenchmark> {
  const upload = (values: Float32Array | Int32Array) =>
    engine.upload({
      dtype: values instanceof Float32Array ? 'float32' : 'int32',
      shape: [values.length],
      values,
    });
  const batch = new Int32Array(1024);
  const input = (): Input => ({ tokens: upload(batch), scalars: upload(new Float32Array(3)) });
  let state: State = Object.fromEntries(
    Array.from({ length: leaves }, (_, i) => [`leaf${i}`, upload(new Float32Array(ELEMENTS))]),
  );
  const program = engine.compile(step, { name: `step-${leaves}`, donate: true });
  const run = async (taken: Input): Promise<Tensor> => {
    const result = await program.run(state, taken);
    ({ state } = result);
    return result.metrics;
  };
  const read = async (metrics: Tensor) => {
    await metrics.data();
    metrics.dispose();
  };
  /** As training does: the next input is uploaded while a step runs, and the loss before is waited for. */
  const inARow = async (steps: number) => {
    let taken = input();
    let reading: Promise<void> | undefined;
    for (let i = 0; i < steps; i++) {
      const metrics = await run(taken);
      disposeTree(taken as TensorTree);
      taken = input();
      await reading;
      reading = read(metrics);
    }
    await reading;
    disposeTree(taken as TensorTree);
  };
  await inARow(WARM_UP);
  const [thread, processor]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    const [busy, spent] = [performance.eventLoopUtilization(), processorTime()];
    await inARow(STEPS);
    thread.push(performance.eventLoopUtilization(busy).active / STEPS);
    if (spent !== undefined) processor.push((processorTime()! - spent) / STEPS);
  }
  const queue: number[] = [];
  const taken = input();
  for (let i = 0; i < STEPS; i++) {
    const started = performance.now();
    const metrics = await run(taken);
    queue.push(performance.now() - started);
    await read(metrics);
  }
  disposeTree([taken, state]);
  program.dispose();
  return {
    leaves,
    queue: median(queue),
    thread: median(thread),
    processor: processor.length > 0 ? median(processor) : undefined,
  };
}
