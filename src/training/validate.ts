import type { Tensor } from '@tensorflow/tfjs-core';
import type { Engine, Program } from '../engine/index.js';
import type { TensorMap } from './adamw.js';
import type { TrainingData } from './data.js';
import type { ValidationInput } from './step.js';

export interface Validation {
  lossNatsPerToken: number;
  bitsPerByte: number;
  /** Predictions the loss is the mean of. */
  tokens: number;
}

/**
 * Loss over the fixed validation windows: the same tokens for every checkpoint. Windows go in batches of fixed
 * size, the last one filled up with its first window, whose losses are left out; sums are double.
 */
export async function validate(
  engine: Engine,
  program: Program<TensorMap, ValidationInput, Tensor>,
  parameters: TensorMap,
  data: TrainingData,
  rows: number,
): Promise<Validation> {
  const { validation } = data;
  const width = validation.seqLen + 1;
  let nats = 0;
  // One batch in flight while the next is read, so the device does not wait for the host.
  let pending: Promise<number> = Promise.resolve(0);
  for (let first = 0; first < validation.count; first += rows) {
    const count = Math.min(rows, validation.count - first);
    const ids = new Int32Array(rows * width);
    ids.set(validation.read(first, count));
    for (let row = count; row < rows; row++) ids.copyWithin(row * width, 0, width);
    const input = engine.upload({ dtype: 'int32', shape: [rows, width], values: ids, split: 0 });
    const losses = await program.run(parameters, { rows: input });
    input.dispose();
    nats += await pending;
    pending = sumOf(losses, count);
    // Awaited when the next batch is queued: a rejection until then is not unhandled.
    pending.catch(() => undefined);
  }
  nats += await pending;
  const tokens = validation.count * validation.seqLen;
  const lossNatsPerToken = nats / tokens;
  return {
    lossNatsPerToken,
    bitsPerByte: lossNatsPerToken / Math.LN2 / data.validationBytesPerToken,
    tokens,
  };
}

async function sumOf(losses: Tensor, count: number): Promise<number> {
  const values = await losses.data();
  losses.dispose();
  let total = 0;
  for (let i = 0; i < count; i++) total += values[i]!;
  return total;
}
