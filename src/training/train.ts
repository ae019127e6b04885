import { rm } from 'node:fs/promises';
import { setImmediate as yieldToEvents } from 'node:timers/promises';
import { dropOldStates } from '../checkpoint/write.js';
import { type Config, shapeOf } from '../config.js';
import { type Engine, openEngine } from '../engine/index.js';
import { inputError } from '../errors.js';
import { listCheckpoints, runPaths } from '../files/run.js';
import { withFile } from '../io/file-error.js';
import type { Lock } from '../io/lock.js';
import { makeFolder } from '../io/make-folder.js';
import { printable } from '../io/printable.js';
import { initialParameters, parameterShapes } from '../model/parameters.js';
import { checkpointSteps } from './checkpoint-schedule.js';
import { type Clock, startClock } from './clock.js';
import { openTrainingData, type TrainingData } from './data.js';
import { requireEqualShares } from './devices.js';
import type { OnTrainEvent } from './events.js';
import { lockRun } from './lock.js';
import { createTrainer, type HostState, type StepReport } from './loop.js';
import { type MetricsLog, openMetricsLog, rewindMetrics } from './metrics-log.js';
import { isDone, nameLastGood, writeDone, writeFailure } from './outcome.js';
import { startSession } from './provenance.js';
import {
  checkSameData,
  continueConfig,
  findResumePoint,
  inspectFolder,
  type ResumePoint,
  readRunConfig,
  removeLeftovers,
  writeRunConfig,
} from './run-folder.js';
import { checkpointSaver } from './saver.js';
import { phaseAt } from './schedule.js';
import { openTensorboard } from './tensorboard.js';

export interface TrainOptions {
  /** The run's folder. */
  out: string;
  /** Continue the run that is there, if there is one. */
  resume?: boolean;
  onEvent?: OnTrainEvent;
  /** Finish the step in hand, save and return. */
  signal?: AbortSignal;
  /** For the run's provenance. */
  commandLine?: readonly string[];
  /** Also write TensorBoard's event files, under RUN/tensorboard. */
  tensorboard?: boolean;
  /** Write each compiled program's text here. */
  dumpProgramDir?: string;
}

export interface TrainResult {
  status: 'done' | 'interrupted';
  run: string;
  step: number;
  steps: number;
  tokens: number;
  checkpoints: string[];
}

/**
 * Trains one run, or continues one, and leaves a folder as contract "Files" lists it. Given the same
 * configuration and corpus, a deterministic engine gives the same bytes, however often the run was stopped.
 * @param config resolved (`resolveConfig`)
 * @throws SparselawError status 3 for a folder, configuration or corpus that does not fit, 4 for the engine,
 *   5 when loss, gradient or weights stop being finite; FAILED.json then names the last good checkpoint
 */
export async function train(config: Config, options: TrainOptions): Promise<TrainResult> {
  const { out, resume = false, dumpProgramDir } = options;
  // Before the lock, so that nothing is written into somebody else's folder.
  refuseOccupied(await inspectFolder(out), out, resume);
  await withFile('write', out, () => makeFolder(out));
  const lock = await lockRun(out);
  let data: TrainingData | undefined;
  let engine: Engine | undefined;
  try {
    const content = await inspectFolder(out);
    refuseOccupied(content, out, resume);
    const asked = content === 'run' ? continueConfig(out, config, await readRunConfig(out)) : config;
    data = await openTrainingData(asked);
    if (content === 'run') await checkSameData(out, data.manifest.sha256);
    if (content === 'run' && (await isDone(out))) return await finishedResult(out, asked);
    engine = await openEngine(asked.engine, {
      precision: asked.precision,
      deterministic: asked.deterministic,
      onWarning: (message) => options.onEvent?.({ type: 'warning', message }),
      ...(asked.device ? { device: asked.device } : {}),
      devices: asked.devices ?? 'all',
      ...(dumpProgramDir ? { dumpProgramDir } : {}),
    });
    // What was left to the machine is settled from here on.
    const settled: Config = {
      ...asked,
      engine: engine.name,
      device: engine.device,
      precision: engine.precision,
      devices: engine.devices,
    };
    requireEqualShares(engine, settled);
    await removeLeftovers(out);
    if (content === 'nothing') await writeRunConfig(out, settled);
    return await runSession({ ...options, config: settled, data, engine, lock });
  } finally {
    data?.close();
    await engine?.close();
    await lock.release();
  }
}

function refuseOccupied(content: 'nothing' | 'run', run: string, resume: boolean): void {
  if (content === 'nothing' || resume) return;
  throw inputError(`${printable(run)} already holds a run.`, {
    code: 'run-exists',
    suggestions: [`sparselaw train --resume --out ${printable(run)}`, 'Or choose another --out.'],
  });
}

interface SessionOptions extends TrainOptions {
  config: Config;
  data: TrainingData;
  engine: Engine;
  lock: Lock;
}

async function runSession(session: SessionOptions): Promise<TrainResult> {
  const { out: run, config, data, engine, onEvent = () => {} } = session;
  const steps = Math.round(config.tokens / config.batchTokens);
  const point = await findResumePoint(run, config, (message) => onEvent({ type: 'warning', message }));
  const fromStep = point?.state.step ?? 0;
  const discardedRows = await rewindMetrics(run, point ? fromStep : -1);
  if (point) {
    onEvent({ type: 'resume', checkpoint: point.checkpoint.path, step: fromStep, discardedRows });
  }
  const { failed } = runPaths(run);
  await withFile('write', failed, () => rm(failed, { force: true }));
  const endSession = await startSession({
    run,
    config,
    data,
    engine,
    fromStep,
    commandLine: session.commandLine ?? [],
  });
  onEvent({
    type: 'start',
    run,
    step: fromStep,
    steps,
    tokens: config.tokens,
    engine: engine.name,
    deviceDescription: engine.deviceDescription,
    precision: engine.precision,
  });
  const progress = { step: fromStep };
  try {
    const status = await trainSteps(session, steps, point, progress);
    // One killed after its last checkpoint may have left states that a whole run does not keep.
    if (status === 'done') await dropOldStates(run, config.keepState);
    await endSession(status, progress.step);
    if (status === 'done') await writeDone(run, config, steps);
    const checkpoints = (await listCheckpoints(run)).map(({ path }) => path);
    return {
      status,
      run,
      step: progress.step,
      steps,
      tokens: progress.step * config.batchTokens,
      checkpoints,
    };
  } catch (error) {
    const named = await nameLastGood(run, error);
    await writeFailure(run, config, named, progress.step).catch(() => undefined);
    await endSession('failed', progress.step).catch(() => undefined);
    throw named;
  }
}

async function trainSteps(
  session: SessionOptions,
  steps: number,
  point: ResumePoint | undefined,
  progress: { step: number },
): Promise<TrainResult['status']> {
  const { out: run, config, data, engine, signal, onEvent = () => {} } = session;
  const due = new Set(checkpointSteps(config.checkpoints, config));
  const log = openMetricsLog(
    run,
    session.tensorboard ? await openTensorboard(run, progress.step) : undefined,
  );
  const clock = startClock(point?.state.elapsedSeconds ?? 0, progress.step);
  const trainer = createTrainer({
    engine,
    config,
    data,
    state: point ?? freshState(config),
    step: progress.step,
    steps,
    onReport: (report) => {
      progress.step = report.step;
      logStep(report, { config, steps, log, clock, onEvent });
    },
  });
  const saver = checkpointSaver(session, { trainer, log, clock, point });
  try {
    if (!point && due.has(0)) await saver.save(true);
    while (trainer.step < steps) {
      await trainer.advance();
      // Lets signals and timers in: an engine on this thread would never.
      await yieldToEvents();
      saver.check();
      const stopping = signal?.aborted ?? false;
      const scheduled = due.has(trainer.step);
      if (scheduled || stopping) {
        await trainer.drain();
        await saver.save(scheduled);
      }
      if (stopping && trainer.step < steps) {
        await saver.settled();
        return 'interrupted';
      }
      if (log.isDue()) await log.flush();
    }
    await trainer.drain();
    await saver.settled();
    return 'done';
  } finally {
    // A checkpoint that was begun is finished, or what is there of it removed, whatever else went wrong.
    await saver.settled().catch(() => undefined);
    await log.flush();
    trainer.dispose();
  }
}

/** The state a run begins with. */
export function freshState(config: Config): HostState {
  const shape = shapeOf(config);
  const parameters = initialParameters(
    shape,
    {
      embedding: config.initStdEmbedding,
      attention: config.initStdAttention,
      attentionOutput: config.initStdAttentionOutput,
      ffn: config.initStdFfn,
      ffnOutput: config.initStdFfnOutput,
      head: config.initStdHead,
    },
    config.seed,
  );
  const zeros = () =>
    Object.fromEntries(
      Object.keys(parameterShapes(shape)).map((name) => [name, new Float32Array(parameters[name]!.length)]),
    );
  return { parameters, firstMoment: zeros(), secondMoment: zeros() };
}

function logStep(
  { step, loss, gradientNorm, learningRate }: StepReport,
  {
    config,
    steps,
    log,
    clock,
    onEvent,
  }: { config: Config; steps: number; log: MetricsLog; clock: Clock; onEvent: OnTrainEvent },
): void {
  const tokens = step * config.batchTokens;
  const phase = phaseAt(config, tokens);
  const totalTokens = config.tokens;
  onEvent({ type: 'step', step, steps, tokens, totalTokens, loss, gradientNorm, learningRate, phase });
  if (step % config.logEvery !== 0 && step !== 1 && step !== steps) return;
  const row = {
    step,
    tokens,
    loss_nats_per_token: loss,
    learning_rate: learningRate,
    gradient_norm: gradientNorm,
    tokens_per_second: clock.rate(step) * config.batchTokens,
    elapsed_seconds: clock.elapsed(),
    phase,
  };
  log.add(row);
  onEvent({ type: 'logged', row });
}

async function finishedResult(run: string, config: Config): Promise<TrainResult> {
  const steps = Math.round(config.tokens / config.batchTokens);
  const checkpoints = (await listCheckpoints(run)).map(({ path }) => path);
  return { status: 'done', run, step: steps, steps, tokens: config.tokens, checkpoints };
}
