import type { MetricsRow } from '../files/run.js';
import type { Phase } from './schedule.js';

/** What a run reports while it goes; nothing of it is needed to use the run folder afterwards. */
export type TrainEvent =
  | {
      type: 'start';
      run: string;
      /** Steps done before this session, and in all. */
      step: number;
      steps: number;
      tokens: number;
      engine: string;
      deviceDescription: string;
      precision: string;
    }
  | { type: 'resume'; checkpoint: string; step: number; discardedRows: number }
  | { type: 'warning'; message: string }
  | {
      type: 'step';
      step: number;
      steps: number;
      tokens: number;
      totalTokens: number;
      loss: number;
      gradientNorm: number;
      learningRate: number;
      phase: Phase;
    }
  | { type: 'logged'; row: MetricsRow }
  | { type: 'checkpoint'; path: string; step: number; tokens: number; validationLoss: number | null };

export type OnTrainEvent = (event: TrainEvent) => void;
