import type { Tensor } from '@tensorflow/tfjs-core';
import type { Config } from '../config.js';
import type { Engine } from '../engine/index.js';
import { disposeTree } from '../engine/tree.js';
import { numericsError } from '../errors.js';
import type { HostParameters } from '../model/fold-mup.js';
import { type AdamwState, biasCorrections } from './adamw.js';
import type { TrainingData } from './data.js';
import { shardOf } from './devices.js';
import { learningRateAt } from './schedule.js';
import { compileSnapshot, compileStep, compileValidation, layoutFor, type StepInput } from './step.js';
import { type Validation, validate } from './validate.js';

/** What a step tells once its values have arrived, some steps after it was queued. */
export interface StepReport {
  /** Steps done with this one. */
  step: number;
  loss: number;
  gradientNorm: number;
  learningRate: number;
}

/** AdamW's state on the host. */
export interface HostState {
  parameters: HostParameters;
  firstMoment: HostParameters;
  secondMoment: HostParameters;
}

/**
 * Queued steps whose loss need not have arrived yet: while that one runs, the host has its whole time to queue the
 * next, so the device does not wait; and a diverged run stops soon.
 */
const STEPS_IN_FLIGHT = 1;

/** A state on its way to the host. */
export interface Captured {
  /** Rejects when the device fails before all values have arrived. */
  readonly host: Promise<HostState>;
}

/** The state of training on a device, and the programs that advance and judge it. */
export interface Trainer {
  /** Steps queued so far. */
  readonly step: number;
  /** Queues the next step, and uploads what the one after it takes while that runs. */
  advance(): Promise<void>;
  /** Waits until every queued step has been reported. @throws SparselawError (status 5) */
  drain(): Promise<void>;
  /** Call drained. */
  validate(): Promise<Validation>;
  /**
   * Takes the state as it is now; its values come to the host while steps go on, where the device has room for a
   * second state meanwhile.
   */
  capture(): Promise<Captured>;
  dispose(): void;
}

export interface TrainerOptions {
  engine: Engine;
  config: Config;
  data: TrainingData;
  state: HostState;
  /** Steps done before. */
  step: number;
  /** Steps of the whole run: no batch is read past it. */
  steps: number;
  onReport(report: StepReport): void;
}

export function createTrainer(options: TrainerOptions): Trainer {
  const { engine, config, data, steps, onReport } = options;
  const layout = layoutFor(engine, config);
  const program = compileStep(engine, config);
  const validation = compileValidation(engine, config);
  const rows = config.batchTokens / config.seqLen / config.accumulate;
  const shard = shardOf(engine, config);
  let state: AdamwState = {
    parameters: layout.upload(engine, options.state.parameters),
    firstMoment: layout.upload(engine, options.state.firstMoment, shard),
    secondMoment: layout.upload(engine, options.state.secondMoment, shard),
  };
  let step = options.step;
  let failure: Error | undefined;
  const inFlight: Promise<void>[] = [];
  let arrived: Promise<void> = Promise.resolve();

  /** What a step takes besides the state; undefined past the last one. */
  const uploadInput = (index: number): StepInput | undefined => {
    if (index >= steps) return undefined;
    const { firstCorrection, secondCorrection } = biasCorrections(index + 1, config);
    return {
      tokens: engine.upload({
        dtype: 'int32',
        shape: [config.accumulate, rows, config.seqLen + 1],
        values: data.batch(index),
        split: 1,
      }),
      scalars: engine.upload({
        dtype: 'float32',
        shape: [3],
        values: Float32Array.of(learningRateAt(config, index), firstCorrection, secondCorrection),
      }),
    };
  };
  let input = uploadInput(step);

  const report = async (metrics: Tensor, done: number, learningRate: number): Promise<void> => {
    const before = arrived;
    const reading = metrics.data();
    // It may fail while earlier values are waited for: then it is reported below, in its turn.
    reading.catch(() => undefined);
    // Values may arrive in another order than steps were queued; rows of the log may not.
    await before;
    const [loss, gradientNorm] = (await reading) as Float32Array;
    metrics.dispose();
    // Later steps only repeat the first bad one.
    if (failure) return;
    for (const [what, value] of [
      ['loss', loss!],
      ['gradient norm', gradientNorm!],
    ] as const) {
      if (!Number.isFinite(value)) failure ??= diverged(what, value, done, done * config.batchTokens);
    }
    if (!failure) onReport({ step: done, loss: loss!, gradientNorm: gradientNorm!, learningRate });
  };
  const settle = async (allowed: number): Promise<void> => {
    while (inFlight.length > allowed) await inFlight.shift();
    if (failure) throw failure;
  };

  const download = async ({ parameters, firstMoment, secondMoment }: AdamwState): Promise<HostState> => ({
    parameters: await layout.download(parameters),
    firstMoment: await layout.download(firstMoment),
    secondMoment: await layout.download(secondMoment),
  });
  let snapshot: ReturnType<typeof compileSnapshot> | undefined;
  const { parameters } = options.state;
  // The moments are as large as the parameters.
  const stateBytes = 3 * Object.values(parameters).reduce((sum, { byteLength }) => sum + byteLength, 0);
  /** Whether a second state fits beside the most that a step has taken; only devices with a memory of their own say. */
  const hasRoomForTwo = (): boolean => {
    const { peakBytes, bytesLimit } = engine.memory();
    if (step === options.step || peakBytes === undefined || bytesLimit === undefined) return false;
    return peakBytes + stateBytes < bytesLimit;
  };

  return {
    get step() {
      return step;
    },
    async advance() {
      const learningRate = learningRateAt(config, step);
      const taken = input!;
      const result = await program.run(state, taken);
      ({ state } = result);
      disposeTree(taken);
      step += 1;
      arrived = report(result.metrics, step, learningRate);
      // Awaited some steps later: a rejection until then is not unhandled.
      arrived.catch(() => undefined);
      inFlight.push(arrived);
      input = uploadInput(step);
      await settle(STEPS_IN_FLIGHT);
    },
    drain: () => settle(0),
    validate: () => validate(engine, validation, state.parameters, data, rows),
    async capture() {
      if (!hasRoomForTwo()) return { host: Promise.resolve(await download(state)) };
      snapshot ??= compileSnapshot(engine, config);
      const copy = await snapshot.run(state, []);
      const host = download(copy).finally(() => disposeTree(copy));
      // Awaited by whoever writes it, perhaps later: a rejection until then is not unhandled.
      host.catch(() => undefined);
      return { host };
    },
    dispose() {
      if (input) disposeTree(input);
      snapshot?.dispose();
      disposeTree(state);
      program.dispose();
      validation.dispose();
    },
  };
}

const diverged = (what: string, value: number, step: number, tokens: number) =>
  numericsError(`Training diverged: the ${what} is ${value} at step ${step} (${tokens} tokens).`, {
    code: 'diverged',
    suggestions: ['Lower --learning-rate, lengthen --warmup, or clip harder with --clip.'],
  });
