import {
  matMul,
  mean,
  mul,
  relu,
  type Scalar,
  square,
  sub,
  type Tensor,
  valueAndGrads,
} from '@tensorflow/tfjs-core';
import type { Engine } from './engine.js';
import { disposeTree } from './tree.js';

/** Rows of a batch, inputs (and outputs), hidden neurons. */
const [ROWS, WIDTH, HIDDEN] = [1024, 256, 1024];
const LEARNING_RATE = 1e-3;
const ROUNDS = 5;
/** Each round takes about this long, whatever the device. */
const ROUND_MILLISECONDS = 100;
const MOST_STEPS = 1000;

type Weights = { readonly up: Tensor; readonly down: Tensor };
type Batch = { readonly x: Tensor; readonly y: Tensor };

/** One step of gradient descent on the squared error of a perceptron with one hidden layer. */
function step({ up, down }: Weights, { x, y }: Batch): Weights & { error: Tensor } {
  const errorOf = (...[u, d]: Tensor[]) =>
    mean(square(sub(matMul(relu(matMul(x, u!)), d!), y))) as unknown as Scalar;
  const { value: error, grads } = valueAndGrads(errorOf)([up, down]);
  const [byUp, byDown] = grads as [Tensor, Tensor];
  return {
    up: sub(up, mul(byUp, LEARNING_RATE)),
    down: sub(down, mul(byDown, LEARNING_RATE)),
    error,
  };
}

export interface StepBenchmark {
  /** What a step is, in words. */
  readonly what: string;
  /** Median of the rounds. */
  readonly milliseconds: number;
  /** 10⁹ floating-point operations a second, of the matrix products alone. */
  readonly gflops: number;
}

/** Measures a whole training step on an engine: forward, backward and update together, weights kept on the device. */
export async function benchmarkStep(engine: Engine): Promise<StepBenchmark> {
  const upload = (shape: number[], scale: number) =>
    engine.upload({
      dtype: 'float32',
      shape,
      values: Float32Array.from({ length: shape[0]! * shape[1]! }, (_, i) => scale * (((i * 7) % 13) - 6)),
    });
  const batch: Batch = { x: upload([ROWS, WIDTH], 0.1), y: upload([ROWS, WIDTH], 0.1) };
  let weights: Weights = { up: upload([WIDTH, HIDDEN], 0.01), down: upload([HIDDEN, WIDTH], 0.01) };
  const program = engine.compile(step, { name: 'perceptron step', donate: true });
  const once = async (steps: number): Promise<number> => {
    const started = performance.now();
    for (let i = 0; i < steps; i++) {
      const { error, ...next } = await program.run(weights, batch);
      weights = next;
      if (i === steps - 1) await error.data();
      error.dispose();
    }
    return (performance.now() - started) / steps;
  };
  await once(2);
  const steps = Math.max(2, Math.min(MOST_STEPS, Math.round(ROUND_MILLISECONDS / (await once(2)))));
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push(await once(steps));
  disposeTree([weights, batch]);
  program.dispose();
  const milliseconds = rounds.sort((a, b) => a - b)[ROUNDS >> 1]!;
  // Two products forward; backward two for the weights and one for the hidden layer.
  return {
    what: `${WIDTH}–${HIDDEN}–${WIDTH} perceptron, ${ROWS} rows`,
    milliseconds,
    gflops: (5 * 2 * ROWS * WIDTH * HIDDEN) / milliseconds / 1e6,
  };
}
