import type { Config } from '../config.js';
import { type Engine, openEngine } from '../engine/index.js';
import { openTrainingData, type TrainingData } from './data.js';
import { createTrainer, type HostState } from './loop.js';
import { freshState } from './train.js';

/** Steps before the clock starts: the first one compiles, the next fill the queue. */
const WARM_UP_STEPS = 3;
const MAX_STEPS = 200;

export interface MeasuredRate {
  tokensPerSecond: number;
  steps: number;
  engine: string;
  deviceDescription: string;
  precision: string;
}

/**
 * Trains a few steps of a run, keeping nothing, to see how fast this machine is at it.
 * @param seconds how long to measure, after the program has been compiled
 * @throws SparselawError as `train`
 */
export async function measureRate(
  config: Config,
  { seconds, signal }: { seconds: number; signal?: AbortSignal },
): Promise<MeasuredRate> {
  const data = await openTrainingData(config);
  try {
    const engine = await openEngine(config.engine, {
      precision: config.precision,
      ...(config.device ? { device: config.device } : {}),
    });
    try {
      const rate = await rateOf({ engine, config, data, seconds, ...(signal && { signal }) });
      const { name, deviceDescription, precision } = engine;
      return { ...rate, engine: name, deviceDescription, precision };
    } finally {
      await engine.close();
    }
  } finally {
    data.close();
  }
}

interface RateRequest {
  /** What training begins with; drawn anew where it is not given. It is only read. */
  state?: HostState;
  engine: Engine;
  config: Config;
  data: TrainingData;
  seconds: number;
  signal?: AbortSignal;
}

/** The same on an engine and data that are open already: the program is recorded and compiled anew. */
export async function rateOf({
  engine,
  config,
  data,
  seconds,
  signal,
  state = freshState(config),
}: RateRequest): Promise<Pick<MeasuredRate, 'tokensPerSecond' | 'steps'>> {
  // Not past the run's own end: schedules say nothing about what comes after.
  const runSteps = Math.round(config.tokens / config.batchTokens);
  const warmUp = Math.min(WARM_UP_STEPS, runSteps - 1);
  const most = Math.min(MAX_STEPS, runSteps - warmUp);
  const trainer = createTrainer({
    engine,
    config,
    data,
    state,
    step: 0,
    steps: warmUp + most,
    onReport: () => {},
  });
  try {
    for (let i = 0; i < warmUp; i++) await trainer.advance();
    await trainer.drain();
    const start = performance.now();
    let steps = 0;
    while (steps < most && performance.now() - start < seconds * 1000 && !signal?.aborted) {
      await trainer.advance();
      steps++;
    }
    await trainer.drain();
    const elapsed = (performance.now() - start) / 1000;
    return { tokensPerSecond: (Math.max(1, steps) * config.batchTokens) / elapsed, steps };
  } finally {
    trainer.dispose();
  }
}
