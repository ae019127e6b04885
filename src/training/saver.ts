import { basename, resolve } from 'node:path';
import type { HuggingFaceOptions } from '../checkpoint/hugging-face.js';
import { type CheckpointToWrite, dropOldStates, writeCheckpoint } from '../checkpoint/write.js';
import { type Config, configHash, shapeOf } from '../config.js';
import type { CheckpointState } from '../files/run.js';
import type { Lock } from '../io/lock.js';
import type { Clock } from './clock.js';
import type { TrainingData } from './data.js';
import type { OnTrainEvent } from './events.js';
import type { Captured, Trainer } from './loop.js';
import type { MetricsLog } from './metrics-log.js';
import type { ResumePoint } from './run-folder.js';
import { phaseAt } from './schedule.js';

/** What a saver needs of a session. */
interface Session {
  /** The run's folder. */
  readonly out: string;
  readonly config: Config;
  readonly data: TrainingData;
  readonly lock: Lock;
  readonly onEvent?: OnTrainEvent;
}

interface SaverParts {
  trainer: Trainer;
  log: MetricsLog;
  clock: Clock;
  point: ResumePoint | undefined;
}

export interface Saver {
  /** Takes the state and begins to write it: steps may go on. @param scheduled with validation */
  save(scheduled: boolean): Promise<void>;
  /** @throws what went wrong in writing, once that is known */
  check(): void;
  /** Resolves once what was taken is on the disk. @throws what went wrong in writing */
  settled(): Promise<void>;
}

/** Saves checkpoints of a session, each naming the one before as its parent. */
export function checkpointSaver(session: Session, { trainer, log, clock, point }: SaverParts): Saver {
  const { out: run, config, data, lock, onEvent = () => {} } = session;
  let parent: CheckpointState['parent'] = point
    ? { checkpoint: point.checkpoint.name, stateSha256: point.stateSha256 }
    : null;
  const separator = data.manifest.tokenizer.separator;
  const model: HuggingFaceOptions = {
    seqLen: config.seqLen,
    initialDeviation: config.initStdFfn,
    endOfText: separator.id,
  };
  let writing: Promise<void> = Promise.resolve();
  let failure: unknown;

  const write = async ({ host }: Captured, state: Omit<CheckpointToWrite['state'], 'parent'>) => {
    // On the disk before the checkpoint is: a run resumed from it must find every row up to it.
    await log.flush(true);
    const { path, stateSha256 } = await writeCheckpoint({
      run,
      shape: shapeOf(config),
      ...(await host),
      tokenizer: data.tokenizerPath,
      model,
      state: { ...state, parent },
    });
    parent = { checkpoint: basename(path), stateSha256 };
    await dropOldStates(run, config.keepState);
    const { step, tokens, validationLossNatsPerToken: validationLoss } = state;
    onEvent({ type: 'checkpoint', path, step, tokens, validationLoss });
  };

  const save = async (scheduled: boolean): Promise<void> => {
    await lock.check();
    // One at a time: each names the one before, and host memory holds one state.
    await writing;
    const { step } = trainer;
    const tokens = step * config.batchTokens;
    // Off the schedule only the state counts: the log stays what an uninterrupted run would have written.
    const validation = scheduled ? await trainer.validate() : undefined;
    if (validation) {
      log.add({
        step,
        tokens,
        validation_loss_nats_per_token: validation.lossNatsPerToken,
        validation_bits_per_byte: validation.bitsPerByte,
        validation_tokens: validation.tokens,
        elapsed_seconds: clock.elapsed(),
      });
    }
    writing = write(await trainer.capture(), {
      runId: basename(resolve(run)),
      step,
      tokens,
      elapsedSeconds: clock.elapsed(),
      phase: phaseAt(config, tokens),
      configSha256: configHash(config),
      dataSha256: data.manifest.sha256,
      tokenizerSha256: data.manifest.tokenizer.sha256,
      loader: { generator: 'threefry2x32-20', seed: config.seed, nextStep: step },
      validationLossNatsPerToken: validation?.lossNatsPerToken ?? null,
      scheduled,
    });
    writing.catch((error) => {
      failure = error;
    });
  };
  return {
    save: (scheduled) => clock.pause(() => save(scheduled)),
    check() {
      if (failure) throw failure;
    },
    settled: () => writing,
  };
}
